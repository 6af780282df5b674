"""Receivers of webhooks: real servers that note what they get and answer as they are told."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Whether the secret is a secret does not matter here.
SECRET = "whsec_" + "c2VjcmV0" * 4


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Receiver:
    """A server on 127.0.0.1, and what it got."""

    port: int
    answers: list[Answer]  # one for each request; the last one for all that follow
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)  # their names in lower case
    bodies: list[str] = field(default_factory=list)

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}/hook?key=1"


@contextmanager
def receiver(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver that gives these answers in turn; without any, always 204."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            got.paths.append(self.path)
            got.headers.append({name.lower(): value for name, value in self.headers.items()})
            got.bodies.append(self.rfile.read(length).decode())
            answer = got.answers.pop(0) if len(got.answers) > 1 else got.answers[0]
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    got = Receiver(server.server_address[1], list(answers or [Answer(204)]))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

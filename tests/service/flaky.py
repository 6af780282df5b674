"""A TCP proxy that can be told to break: what stands behind it answers 503 for a while."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 1 << 16
SLOW_DOWN = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: 39\r\n\r\n<Error><Code>SlowDown</Code></Error>\r\n\r"
)


class FlakyProxy:
    """Forwards connections to an address; not while it is broken."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("http://").partition(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._broken = threading.Event()
        self._open: set[socket.socket] = set()
        self.disturbed = 0  # connections cut, and requests answered with 503
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Cuts every connection, and answers new ones with 503 until the end of the block."""
        self._broken.set()
        for connection in list(self._open):
            self.disturbed += 1
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        try:
            yield
        finally:
            self._broken.clear()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if self._broken.is_set():
                client.recv(CHUNK)
                client.sendall(SLOW_DOWN)
                self.disturbed += 1
                return
            with socket.create_connection(self._target) as server:
                ends = {client, server}
                self._open |= ends
                try:
                    back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                    back.start()
                    _pump(client, server)
                    back.join()
                finally:
                    self._open -= ends


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

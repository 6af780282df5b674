"""/healthz and /metrics of a process that serves nothing else: workers, sweeper, sender of webhooks."""

import json
import logging
import socket
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.observability.pulse import Pulse
from app.settings import Settings

logger = logging.getLogger(__name__)

CONNECTION_SECONDS = 10  # for which a connection may stand idle


def serve_health(settings: Settings, pulses: Mapping[str, Pulse]) -> None:
    """Serve both in a thread of their own, until the process ends; nothing without a port to serve on.

    /healthz is 503 and names the pulses that have been silent for longer than the settings allow.
    It asks neither broker nor database: their absence is no reason to start a process again.

    Raises:
        OSError: the port is in use, or the address not this machine's.
    """
    if settings.health_port is None:
        return

    class Handler(BaseHTTPRequestHandler):
        timeout = CONNECTION_SECONDS

        def do_GET(self) -> None:
            if self.path == "/healthz":
                self._answer(*_health(pulses, settings.stall_seconds), "application/json")
            elif self.path == "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(), CONTENT_TYPE_LATEST)
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

        def _answer(self, status: HTTPStatus, body: bytes, media_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a probe comes every few seconds."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            logger.info("whoever asked for health or metrics did not wait for the answer")

    place = (settings.host, settings.health_port)
    try:
        server = Server(place, Handler)
    except OSError as error:
        raise OSError(
            f"FUNDUSMITH_HEALTH_PORT: cannot listen on {place[0]}, port {place[1]}: {error.strerror}"
        ) from error
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    logger.info("health and metrics on %s, port %d", *place)


def _health(pulses: Mapping[str, Pulse], most_seconds: float) -> tuple[HTTPStatus, bytes]:
    stalled = [name for name, pulse in pulses.items() if pulse.silence > most_seconds]
    if stalled:
        answer = {"status": "stalled", "stalled": stalled}
        return HTTPStatus.SERVICE_UNAVAILABLE, json.dumps(answer).encode()
    return HTTPStatus.OK, json.dumps({"status": "alive"}).encode()

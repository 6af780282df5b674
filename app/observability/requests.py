"""What is noted of each request: its id, and how many there were, of what route, and how long they took."""

import re
import time
import uuid

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.observability.context import LONGEST_REQUEST_ID, REQUEST_ID_HEADER, begin_request

WELL_FORMED = re.compile(rf"[A-Za-z0-9._:/+=@-]{{1,{LONGEST_REQUEST_ID}}}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED, OTHER = "unmatched", "OTHER"  # what senders make up must not make new series

REQUESTS = Counter(
    "fundusmith_http_requests",
    "Requests answered, by method, route template and status.",
    ["method", "route", "status"],
)
SECONDS = Histogram(
    "fundusmith_http_request_duration_seconds",
    "Seconds until an answer began: event streams and downloads go on for longer, and uploads "
    "take as long as their senders do.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class Observed:
    """Gives each request its id, the sender's if it is well formed, and counts it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, begun = time.monotonic(), False
        sent = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = sent if WELL_FORMED.fullmatch(sent) else uuid.uuid4().hex
        begin_request(request_id)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_counted(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start" and not begun:
                begun = True
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
                _count(scope, message["status"], time.monotonic() - started)
            await send(message)

        try:
            await self.app(scope, receive, send_counted)
        except Exception:
            if not begun:  # a bug, which is answered further out
                _count(scope, 500, time.monotonic() - started)
            raise


def _count(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in METHODS else OTHER
    route = getattr(scope.get("route"), "path", UNMATCHED)
    REQUESTS.labels(method, route, status).inc()
    SECONDS.labels(method, route).observe(seconds)

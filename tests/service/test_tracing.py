"""Traces, from the request to the items that other processes do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.service.running import RunningService

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass
class Collector:
    """What was sent to it: each span with its service."""

    port: int = 0
    spans: list[tuple[str, Any]] = field(default_factory=list)


@contextmanager
def collector() -> Iterator[Collector]:
    got = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = next(
                    each.value.string_value
                    for each in resource.resource.attributes
                    if each.key == "service.name"
                )
                for scope in resource.scope_spans:
                    got.spans += [(service, span) for span in scope.spans]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        got.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield got
        server.shutdown()


def test_a_request_and_the_items_of_its_order_are_one_trace(
    tmp_path: Path, models_dir: Path
) -> None:
    with collector() as got:
        endpoint = f"http://127.0.0.1:{got.port}"
        with RunningService(tmp_path, models_dir, otlp_endpoint=endpoint) as service:
            answer = httpx2.post(
                f"{service.address}/datasets",
                json={"count": 10},
                headers={"traceparent": f"00-{TRACE}-{CALLER}-01"},
            )
            service.succeed(service.client.datasets.get(answer.json()["id"]))
        # Stopping sends the rest.
        ours = [(service, span) for service, span in got.spans if span.trace_id.hex() == TRACE]
    ((_, request),) = [each for each in ours if each[0] == "fundusmith-api"]
    assert request.name == "POST /datasets"
    assert request.parent_span_id.hex() == CALLER
    items = [span for service, span in ours if service == "fundusmith-worker"]
    assert sorted(span.name for span in items) == ["pack", "shard", "shard"]
    assert {span.parent_span_id for span in items} == {request.span_id}
    attributes = {each.key: each.value for each in items[0].attributes}
    assert attributes["job_id"].string_value == answer.json()["id"]
    assert attributes["request_id"].string_value == answer.headers["x-request-id"]
    assert attributes["seconds.generate"].double_value > 0
    assert attributes["outcome"].string_value == "finished"

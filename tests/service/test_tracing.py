"""Traces, from the request to the items that other processes do."""

from typing import Any

import httpx2

from tests.service.collector import Collector
from tests.service.running import RunningService
from tests.waiting import wait_until

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_request_and_the_items_of_its_order_are_one_trace(
    service: RunningService, collector: Collector
) -> None:
    answer = httpx2.post(
        f"{service.address}/datasets",
        json={"count": 10},
        headers={"traceparent": f"00-{TRACE}-{CALLER}-01"},
    )

    def spans(of: str) -> list[Any]:
        return [
            span
            for service, span in collector.spans
            if service == of and span.trace_id.hex() == TRACE
        ]

    wait_until(lambda: len(spans("fundusmith-worker")) == 3 and spans("fundusmith-api"))
    (request,) = spans("fundusmith-api")
    assert request.name == "POST /datasets"
    assert request.parent_span_id.hex() == CALLER
    items = sorted(spans("fundusmith-worker"), key=lambda span: span.start_time_unix_nano)
    assert [span.name for span in items] == ["shard", "shard", "pack"]
    assert {span.parent_span_id for span in items} == {request.span_id}
    attributes = {each.key: each.value for each in items[0].attributes}
    assert attributes["job_id"].string_value == answer.json()["id"]
    assert attributes["request_id"].string_value == answer.headers["x-request-id"]
    assert attributes["seconds.generate"].double_value > 0
    assert attributes["outcome"].string_value == "finished"

"""What can be seen of the running service: counters, liveness, and lines that tell whose they are."""

import os
import signal
from http import HTTPStatus

import httpx2

from tests.service.running import RunningService, children
from tests.waiting import wait_until

ENDED = "fundusmith_items_ended_total"


def test_an_order_is_counted_and_each_of_its_lines_names_the_request(
    service: RunningService,
) -> None:
    # Both warn at their start that they run as root, which is no line of JSON.
    wait_until(lambda: service.answers("worker") and service.answers("trainer"))
    start = service.log.stat().st_size
    names = {
        "fundusmith_pairs_total": {},
        "fundusmith_stage_seconds_total": {"stage": "encode"},
        "fundusmith_item_seconds_total": {"kind": "pack"},
        ENDED: {"kind": "shard", "outcome": "finished"},
    }
    before = [service.metric("worker", name, **labels) for name, labels in names.items()]
    with httpx2.Client(base_url=service.address) as api:
        headers = {"X-Request-ID": "of-a-test/7"}
        answer = api.post("/datasets", json={"count": 20}, headers=headers)
        made_up = api.get("/datasets", headers={"X-Request-ID": "two words"})
        scraped = api.get("/metrics").text
    assert answer.headers["x-request-id"] == "of-a-test/7"
    assert len(made_up.headers["x-request-id"]) == 32
    assert 'fundusmith_http_requests_total{method="POST",route="/datasets",status="202"}' in scraped
    job = service.succeed(service.client.datasets.get(answer.json()["id"]))

    after = [service.metric("worker", name, **labels) for name, labels in names.items()]
    pairs, encoding, packing, shards = (b - a for a, b in zip(before, after, strict=True))
    assert (pairs, shards) == (20, 3)
    assert encoding > 0
    assert packing > 0
    assert service.metric("worker", "fundusmith_model_loads_total") >= 1
    used = service.metric("worker", "fundusmith_device_memory_bytes", state="used")
    assert 0 < used < service.metric("worker", "fundusmith_device_memory_bytes", state="total")

    def of_worker() -> list[dict]:
        lines = service.lines(start)  # every line is JSON
        return [line for line in lines if job["id"] in line["message"] and "item_id" in line]

    wait_until(lambda: len(of_worker()) == 4)  # three shards and the packing
    assert {(line["request_id"], line["job_id"]) for line in of_worker()} == {
        ("of-a-test/7", job["id"])
    }
    assert len({line["item_id"] for line in of_worker()}) == 4
    (placed,) = [line for line in service.lines(start) if line.get("method") == "POST"]
    assert placed["request_id"] == "of-a-test/7"
    assert (placed["path"], placed["status"]) == ("/datasets", 202)


def test_a_pool_process_that_hangs_is_noticed(service: RunningService) -> None:
    def health() -> tuple[int, dict]:
        answer = service.observe("worker", "/healthz")
        return answer.status_code, answer.json()

    alive = (HTTPStatus.OK, {"status": "alive"})
    job = service.client.datasets.order(3000)
    service.wait_for_pairs(job, 1)
    assert health() == alive
    (pool,) = children(service.pid("worker"))
    os.kill(pool, signal.SIGSTOP)
    try:
        stalled = (HTTPStatus.SERVICE_UNAVAILABLE, {"status": "stalled", "stalled": ["work"]})
        wait_until(lambda: health() == stalled)
    finally:
        os.kill(pool, signal.SIGCONT)
    wait_until(lambda: health() == alive)
    job.cancel()
    service.finish(job)
    assert service.observe("sweeper", "/healthz").status_code == HTTPStatus.OK
    assert service.metric("sweeper", "fundusmith_sweeps_total", outcome="done") > 0

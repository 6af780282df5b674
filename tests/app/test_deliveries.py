"""Webhooks from the end of a job to the receiver, which is a real server."""

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from sqlalchemy import select, text
from standardwebhooks import Webhook, WebhookVerificationError

from app.clock import utc_now
from app.database import Database
from app.jobs.leases import fail
from app.jobs.orders import create_job, request_cancel, request_delete
from app.jobs.sweep import sweep
from app.jobs.tables import LONGEST_ERROR, Delivery
from app.settings import Settings
from app.storage import Storage
from app.webhooks.deliveries import DELAYS, Outcome, claim_due, note_outcome
from app.webhooks.sender import MOST_AT_ONCE, Sender, run
from tests.app.conftest import Jobs, SteppingClock
from tests.app.receivers import SECRET, Answer, receiver
from tests.app.test_concurrency import at_once
from tests.waiting import wait_until


@pytest.fixture
def clock() -> SteppingClock:
    """Stands at the present, since a signature holds for five minutes."""
    clock = SteppingClock()
    clock.now = utc_now()
    return clock


@pytest.fixture
def settings(settings: Settings) -> Settings:
    changes = {"webhook_secret": SECRET, "webhook_private_targets": True}
    return Settings(**{**settings.model_dump(), **changes})


@pytest.fixture
def order(jobs: Jobs) -> Callable[..., str]:
    """Orders a data set of one shard whose end is told to ``url``."""

    def place(url: str | None, retention_seconds: float | None = None) -> str:
        jobs.clock.step(1)
        return create_job(
            jobs.db,
            request={"count": 4, "resolution": 64, "model": "eye@1.0.0", "seed": 7},
            package_digest="d" * 64,
            shard_pairs=4,
            max_attempts=1,
            retention_seconds=retention_seconds,
            webhook_url=url,
            clock=jobs.clock,
        )

    return place


@pytest.fixture
def send_due(settings: Settings, db: Database, clock: SteppingClock) -> Callable[[], int]:
    """Sends everything that is due; returns the number of attempts."""

    async def send_all() -> int:
        attempts = 0
        async with Sender(settings, db, clock) as sender:
            while started := await sender.start_due():
                attempts += started
                await asyncio.wait(sender.sending)
        return attempts

    return lambda: asyncio.run(send_all())


def deliveries(db: Database) -> list[Delivery]:
    with db.read() as session:
        return list(session.scalars(select(Delivery).order_by(Delivery.created_at)))


def delivery(db: Database) -> Delivery:
    (only,) = deliveries(db)
    return only


Order = Callable[..., str]
SendDue = Callable[[], int]


def test_success_is_told_once_and_signed(
    db: Database, jobs: Jobs, order: Order, send_due: SendDue
) -> None:
    with receiver() as there:
        job_id = order(there.url())
        order(None)  # has no receiver
        assert send_due() == 0
        jobs.finish_all()
        assert send_due() == 1
        assert send_due() == 0
    (headers,), (body,) = there.headers, there.bodies
    assert there.paths == ["/hook?key=1"]
    assert headers["host"] == f"127.0.0.1:{there.port}"
    assert headers["content-type"] == "application/json"
    told = Webhook(SECRET).verify(body, headers)
    assert told == {
        "type": "dataset.succeeded",
        "timestamp": jobs.row(job_id).succeeded_at.isoformat(),  # type: ignore[union-attr]
        "data": {
            "id": job_id,
            "status": "succeeded",
            "links": {
                "self": f"/datasets/{job_id}",
                "download": f"/datasets/{job_id}/download",
            },
        },
    }
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace("succeeded", "cancelled"), headers)
    row = delivery(db)
    assert headers["webhook-id"] == row.id
    assert (row.job_id, row.state, row.attempts, row.last_error) == (job_id, "delivered", 1, None)


def test_every_end_is_told(
    db: Database, storage: Storage, jobs: Jobs, order: Order, send_due: SendDue
) -> None:
    with receiver() as there:
        expired = order(there.url(), retention_seconds=60)
        jobs.finish_all()
        failed = order(there.url())
        fail(db, jobs.claim(), "broken", "It broke.", jobs.clock)
        cancelled = order(there.url())
        request_cancel(db, cancelled, jobs.clock)
        stopped = order(there.url())
        claim = jobs.claim()
        request_delete(db, stopped, jobs.clock)
        assert len(deliveries(db)) == 3  # it is still being made
        assert jobs.finish(claim)
        jobs.clock.step(61)
        sweep(db, storage, jobs.clock)
        assert send_due() == 5
    told = sorted(
        (json.loads(body)["data"]["id"], json.loads(body)["type"]) for body in there.bodies
    )
    assert told == sorted(
        [
            (expired, "dataset.succeeded"),
            (expired, "dataset.expired"),
            (failed, "dataset.failed"),
            (cancelled, "dataset.cancelled"),
            (stopped, "dataset.cancelled"),
        ]
    )


def test_an_end_that_is_not_committed_is_not_told(db: Database, jobs: Jobs, order: Order) -> None:
    job_id = order("https://example.org")
    with pytest.raises(RuntimeError), db.write() as session:
        row = jobs.row(job_id)
        row = session.merge(row)
        row.enter("cancelled", jobs.clock())  # type: ignore[arg-type]
        session.flush()
        assert session.scalar(text("SELECT count(*) FROM deliveries")) == 1
        raise RuntimeError
    assert deliveries(db) == []
    assert jobs.row(job_id).status == "queued"


def test_a_receiver_that_fails_is_tried_again_ever_later_and_then_given_up(
    db: Database, jobs: Jobs, order: Order, send_due: SendDue
) -> None:
    with receiver(Answer(500, body=b"not today")) as there:
        job_id = order(there.url())
        jobs.finish_all()
        for attempt, delay in enumerate(DELAYS, start=1):
            assert send_due() == 1
            row = delivery(db)
            assert (row.state, row.attempts) == ("pending", attempt)
            assert row.last_error == "The receiver answered 500 Internal Server Error: not today"
            assert (
                0.9 * delay <= (row.next_attempt_at - jobs.clock()).total_seconds() <= 1.1 * delay
            )
            jobs.clock.step(0.9 * delay - 1)
            assert send_due() == 0
            jobs.clock.step(0.2 * delay + 1)
        assert send_due() == 1
        jobs.clock.step(10**6)
        assert send_due() == 0
    assert (delivery(db).state, delivery(db).attempts) == ("failed", 10)
    assert len({headers["webhook-id"] for headers in there.headers}) == 1
    assert len(set(there.bodies)) == 1
    for headers in there.headers:  # each signed for its own time
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        signature = Webhook(SECRET).sign(headers["webhook-id"], at, there.bodies[0])
        assert headers["webhook-signature"] == signature
    assert len({headers["webhook-timestamp"] for headers in there.headers}) == 10
    assert jobs.row(job_id).status == "succeeded"


def test_it_arrives_after_all(db: Database, jobs: Jobs, order: Order, send_due: SendDue) -> None:
    with receiver(Answer(503), Answer(429), Answer(200)) as there:
        order(there.url())
        jobs.finish_all()
        while delivery(db).state == "pending":
            send_due()
            jobs.clock.step(600)
    assert len(there.bodies) == 3
    assert (delivery(db).state, delivery(db).last_error) == ("delivered", None)


def test_a_receiver_that_is_gone_is_left_alone(
    db: Database, jobs: Jobs, order: Order, send_due: SendDue
) -> None:
    with receiver(Answer(410)) as there:
        order(there.url())
        jobs.finish_all()
        assert send_due() == 1
    assert (delivery(db).state, delivery(db).attempts) == ("failed", 1)
    assert "410" in (delivery(db).last_error or "")


def test_a_redirect_is_not_followed(
    db: Database, jobs: Jobs, order: Order, send_due: SendDue
) -> None:
    with receiver() as elsewhere, receiver(Answer(307, {"Location": elsewhere.url()})) as there:
        order(there.url())
        jobs.finish_all()
        assert send_due() == 1
    assert len(there.bodies) == 1
    assert elsewhere.bodies == []
    assert delivery(db).state == "pending"


def test_what_a_receiver_says_is_cut_short_and_cleaned(
    db: Database, jobs: Jobs, order: Order, send_due: SendDue
) -> None:
    with receiver(Answer(500, body=b"\0\x1b[31m\xff" + b"x" * 100_000)) as there:
        order(there.url())
        jobs.finish_all()
        send_due()
    error = delivery(db).last_error or ""
    assert len(error) == LONGEST_ERROR
    assert error.isprintable()


def test_nobody_listens(db: Database, jobs: Jobs, order: Order, send_due: SendDue) -> None:
    with receiver() as there:
        pass
    order(there.url())
    jobs.finish_all()
    assert send_due() == 1
    assert (delivery(db).state, delivery(db).attempts) == ("pending", 1)
    assert "ConnectError" in (delivery(db).last_error or "")


def test_a_receiver_that_never_comes_to_an_end_is_given_up(
    db: Database, jobs: Jobs, order: Order, send_due: SendDue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says something all the time, so that no wait for its next byte is long."""
    monkeypatch.setattr("app.webhooks.requests.TIMEOUT_SECONDS", 1.0)

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            for _ in range(100):
                connection.sendall(b"x")
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=[server])
        thread.start()
        order(f"http://127.0.0.1:{server.getsockname()[1]}/")
        jobs.finish_all()
        send_due()
        thread.join()
    assert delivery(db).last_error == "There was no answer within 1 s."


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server.getsockname()[1]


def test_silent_receivers_hold_up_neither_jobs_nor_the_queue(
    settings: Settings, db: Database, jobs: Jobs, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as can be sent to at once; they are given up in time, and the next one gets its own."""
    monkeypatch.setattr("app.webhooks.requests.TIMEOUT_SECONDS", 0.5)
    jobs.clock.step(-60)  # what each order adds must not reach into the future
    with silent_server() as port, receiver() as there:
        silent = [order(f"http://127.0.0.1:{port}/") for _ in range(MOST_AT_ONCE)]
        for job_id in silent:
            request_cancel(db, job_id, jobs.clock)
        with sending(settings, db):
            wait_until(lambda: all(row.attempts for row in deliveries(db)))
            last = order(there.url())
            jobs.finish_all()
            assert jobs.row(last).status == "succeeded"
            wait_until(lambda: there.bodies)
            wait_until(lambda: all(row.last_error or row.job_id == last for row in deliveries(db)))
    assert json.loads(there.bodies[0])["data"]["id"] == last
    assert "no answer" in (deliveries(db)[0].last_error or "")


@contextmanager
def sending(settings: Settings, db: Database) -> Iterator[None]:
    """The sender's loop, by the real time, for as long as the block lasts."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=[run(settings, db, stop)])
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def test_an_attempt_that_got_lost_is_made_again_and_its_outcome_no_longer_counts(
    db: Database, jobs: Jobs, order: Order
) -> None:
    order("https://example.org")
    jobs.finish_all()
    (lost,) = claim_due(db, 10, jobs.clock)
    assert claim_due(db, 10, jobs.clock) == []
    jobs.clock.step(61)
    (again,) = claim_due(db, 10, jobs.clock)
    assert (lost.number, again.number) == (1, 2)
    assert lost.delivery_id == again.delivery_id
    note_outcome(db, lost, Outcome("too late"), jobs.clock)
    assert delivery(db).last_error is None
    note_outcome(db, again, Outcome(), jobs.clock)
    note_outcome(db, again, Outcome("twice"), jobs.clock)
    assert (delivery(db).state, delivery(db).last_error) == ("delivered", None)


def test_no_delivery_is_claimed_twice(db: Database, jobs: Jobs, order: Order) -> None:
    for _ in range(12):
        request_cancel(db, order("https://example.org"), jobs.clock)
    shares = at_once([lambda: claim_due(db, 5, jobs.clock)] * 4)
    claimed = [attempt.delivery_id for share in shares for attempt in share]
    claimed += [attempt.delivery_id for attempt in claim_due(db, 12, jobs.clock)]
    assert len(set(claimed)) == len(claimed) == 12


def test_what_a_stopped_sender_did_not_finish_is_sent_again(
    settings: Settings, db: Database, jobs: Jobs, order: Order, send_due: SendDue
) -> None:
    async def start_and_stop() -> None:
        async with Sender(settings, db, jobs.clock) as sender:
            assert await sender.start_due() == 1

    with silent_server() as port:
        order(f"http://127.0.0.1:{port}/")
        jobs.finish_all()
        asyncio.run(start_and_stop())
    assert (delivery(db).state, delivery(db).last_error) == ("pending", None)
    assert send_due() == 0
    jobs.clock.step(61)
    assert send_due() == 1


def test_first_attempts_go_before_repeated_ones(db: Database, jobs: Jobs, order: Order) -> None:
    order("https://dead.example")
    jobs.finish_all()
    (dead,) = claim_due(db, 10, jobs.clock)
    note_outcome(db, dead, Outcome("dead"), jobs.clock)
    jobs.clock.step(600)
    order("https://new.example")
    jobs.finish_all()
    assert [attempt.url for attempt in claim_due(db, 1, jobs.clock)] == ["https://new.example"]
    assert [attempt.url for attempt in claim_due(db, 1, jobs.clock)] == ["https://dead.example"]


def test_private_targets_are_not_even_connected_to(
    settings: Settings, db: Database, jobs: Jobs, order: Order, clock: SteppingClock
) -> None:
    """Whatever an order got past the check of its URL with: the check that counts is this one."""
    closed = settings.model_copy(update={"webhook_private_targets": False})

    async def send() -> None:
        async with Sender(closed, db, clock) as sender:
            await sender.start_due()
            await asyncio.wait(sender.sending)

    with receiver() as there:
        for url in (
            there.url(),
            there.url(scheme="https"),
            there.url("localhost", "https"),
            there.url("2130706433", "https"),
            there.url("[::ffff:127.0.0.1]", "https"),
        ):
            order(url)
        jobs.finish_all()
        asyncio.run(send())
    assert there.bodies == []
    rows = deliveries(db)
    assert {(row.state, row.attempts) for row in rows} == {("failed", 1)}
    assert [row.last_error for row in rows].count("127.0.0.1 is not a public address.") == 1
    assert "localhost has the address" in " ".join(str(row.last_error) for row in rows)


class Names:
    """Stands in for the resolver of host names, and counts what it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []
        self.real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if not name.endswith(".example"):
            return self.real(host, port, *rest, **named)
        self.asked.append(name)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]


def test_the_address_that_was_looked_up_is_the_one_that_is_used(
    db: Database, jobs: Jobs, order: Order, send_due: SendDue, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    monkeypatch.setattr("socket.getaddrinfo", names)
    with receiver() as there:
        order(there.url("rebinding.example"))
        jobs.finish_all()
        send_due()
    assert names.asked == ["rebinding.example"]
    assert delivery(db).state == "delivered"
    assert there.headers[0]["host"] == f"rebinding.example:{there.port}"


def test_the_next_address_is_tried(
    db: Database, jobs: Jobs, order: Order, send_due: SendDue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.getaddrinfo", Names(["127.0.0.2", "127.0.0.1"]))
    with receiver() as there:  # listens on the second one alone
        order(there.url("two.example"))
        jobs.finish_all()
        send_due()
    assert delivery(db).state == "delivered"


def test_a_host_that_does_not_exist_is_given_up(
    db: Database, jobs: Jobs, order: Order, send_due: SendDue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.getaddrinfo", Names([]))
    order("https://nowhere.example")
    jobs.finish_all()
    send_due()
    assert (delivery(db).state, delivery(db).attempts) == ("failed", 1)


@pytest.mark.parametrize("host", ["xn--", "a..b", f"{'a' * 70}.org"])
def test_what_can_be_no_name_is_not_found(
    db: Database, jobs: Jobs, order: Order, send_due: SendDue, host: str
) -> None:
    order(f"https://{host}")
    jobs.finish_all()
    send_due()
    assert "The host was not found" in (delivery(db).last_error or "")


@pytest.mark.parametrize("named", ["there.example", "other.example"])
def test_the_certificate_must_name_the_host(
    db: Database,
    jobs: Jobs,
    order: Order,
    send_due: SendDue,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    named: str,
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    monkeypatch.setattr("socket.getaddrinfo", Names(["127.0.0.1"]))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(named).configure_cert(tls)
    with receiver(tls=tls) as there:
        order(there.url("there.example", "https"))
        jobs.finish_all()
        send_due()
    row = delivery(db)
    if named == "there.example":
        assert (row.state, len(there.bodies)) == ("delivered", 1)
    else:
        assert (row.state, there.bodies) == ("pending", [])
        assert "CERTIFICATE_VERIFY_FAILED" in (row.last_error or "")


def test_nothing_is_sent_unsigned(settings: Settings, db: Database) -> None:
    with pytest.raises(ValueError, match="FUNDUSMITH_WEBHOOK_SECRET"):
        Sender(settings.model_copy(update={"webhook_secret": None}), db)

"""Orders with a webhook over HTTP, and the sender as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from standardwebhooks import Webhook

from app.datasets.schemas import DatasetOrder
from app.deps import Services
from app.jobs.leases import claim_next
from app.main import create_app
from app.settings import SOURCE_TREE, Settings
from tests.app.making import make_items
from tests.app.problems import pointers, problem
from tests.app.receivers import SECRET, receiver
from tests.waiting import wait_until

URL = "https://example.org/hooks"


@pytest.fixture
def plain(api: TestClient) -> TestClient:
    """An API without a secret."""
    return api


@pytest.fixture
def signing(settings: Settings) -> Iterator[TestClient]:
    """An API that has a secret, and so can send webhooks."""
    with TestClient(create_app(with_secret(settings))) as client:
        yield client


def with_secret(settings: Settings, private_targets: bool = False) -> Settings:
    changes = {"webhook_secret": SECRET, "webhook_private_targets": private_targets}
    return Settings(**{**settings.model_dump(), **changes})


def test_the_job_shows_what_its_receiver_was_told(signing: TestClient) -> None:
    response = signing.post("/datasets", json={"count": 4, "webhook": {"url": URL}})
    assert response.status_code == 202
    assert response.json()["webhook"] == {"url": URL, "deliveries": []}
    assert "webhook" not in response.json()["request"]  # what is made does not depend on it
    home = response.headers["location"]
    signing.post(f"{home}/cancel")
    delivery = {"event": "dataset.cancelled", "state": "pending", "attempts": 0, "last_error": None}
    assert signing.get(home).json()["webhook"] == {"url": URL, "deliveries": [delivery]}
    (listed,) = signing.get("/datasets").json()["data"]
    assert listed == signing.get(home).json()


def test_workers_learn_nothing_of_webhooks(signing: TestClient) -> None:
    signing.post("/datasets", json={"count": 4, "webhook": {"url": URL}})
    claim = claim_next(signing.app.state.services.db, "one")  # type: ignore[attr-defined]
    assert claim is not None
    assert URL not in repr(claim)


def test_an_order_needs_none(signing: TestClient) -> None:
    for order in ({"count": 4}, {"count": 4, "webhook": None}):
        assert signing.post("/datasets", json=order).json()["webhook"] is None


def test_a_service_without_a_secret_says_so(plain: TestClient) -> None:
    for path in ("/datasets", "/datasets?dry_run=true"):
        response = plain.post(path, json={"count": 4, "webhook": {"url": URL}})
        assert pointers(response) == ["#/webhook"]
        assert "FUNDUSMITH_WEBHOOK_SECRET" in problem(response, 422)["detail"]
    assert plain.get("/datasets").json()["data"] == []


@pytest.mark.parametrize(
    ("webhook", "pointer"),
    [
        ({"url": "http://example.org"}, "#/webhook/url"),
        ({"url": "https://127.0.0.1/"}, "#/webhook/url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "#/webhook/url"),
        ({"url": "https://user@example.org"}, "#/webhook/url"),
        ({"url": f"{URL}/{'x' * 2000}"}, "#/webhook/url"),
        ({"url": 7}, "#/webhook/url"),
        ({}, "#/webhook/url"),
        ({"url": URL, "secret": "mine"}, "#/webhook/secret"),
        (URL, "#/webhook"),
    ],
)
def test_a_bad_webhook_is_named(signing: TestClient, webhook: object, pointer: str) -> None:
    response = signing.post("/datasets", json={"count": 4, "webhook": webhook})
    assert pointers(response) == [pointer]
    assert signing.get("/datasets").json()["data"] == []


def test_private_targets_can_be_allowed(settings: Settings) -> None:
    with TestClient(create_app(with_secret(settings, private_targets=True))) as api:
        order = {"count": 4, "webhook": {"url": "http://10.0.0.1/"}}
        assert api.post("/datasets", json=order).status_code == 202


def test_another_receiver_is_another_order(signing: TestClient) -> None:
    def order(url: str) -> int:
        return signing.post(
            "/datasets",
            json={"count": 4, "webhook": {"url": url}},
            headers={"Idempotency-Key": "one"},
        ).status_code

    assert [order(URL), order(URL), order(f"{URL}/2")] == [202, 202, 422]


def test_the_documented_order_can_be_placed(signing: TestClient) -> None:
    schema = DatasetOrder.model_json_schema()["$defs"]["Webhook"]["properties"]["url"]
    order = {"count": 4, "webhook": {"url": schema["examples"][0]}}
    assert signing.post("/datasets", json=order).status_code == 202


def test_the_sender_is_a_process_of_its_own(settings: Settings, services: Services) -> None:
    """One is killed, and the next goes on; that one is asked to stop, and does."""
    environment = {
        f"FUNDUSMITH_{name.upper()}": str(value)
        for name, value in {
            "data_dir": settings.data_dir,
            "database_url": settings.database_url,
            "webhook_secret": SECRET,
            "webhook_private_targets": True,
        }.items()
    }

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "app.webhooks.sender"],
            cwd=SOURCE_TREE,
            env={**os.environ, **environment},
        )

    with (
        receiver() as there,
        TestClient(create_app(with_secret(settings, private_targets=True))) as api,
    ):
        webhook = {"url": there.url()}
        for senders in (1, 2):
            order_id = api.post("/datasets", json={"count": 4, "webhook": webhook}).json()["id"]
            make_items(services)
            sender = start()
            try:
                wait_until(lambda senders=senders: len(there.bodies) == senders)
                document = Webhook(SECRET).verify(there.bodies[-1], there.headers[-1])
                assert document["data"]["id"] == order_id
                home = f"/datasets/{order_id}"
                wait_until(
                    lambda home=home: (
                        api.get(home).json()["webhook"]["deliveries"][0]["state"] == "delivered"
                    )
                )
            finally:
                sender.kill() if senders == 1 else sender.terminate()
                code = sender.wait(30)
        assert code == 0

"""The client with an API key, against an API that listens on a real port."""

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from fastapi import FastAPI

from app.access.service import create_key
from app.access.tables import Scope
from app.client import Client, ServiceError
from app.deps import Services
from app.main import create_app
from app.settings import Access, Settings
from tests.app.making import make_items
from tests.app.serving import serve


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings.model_copy(update={"access": Access.REQUIRED}))


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    with serve(app) as address:
        yield address


@pytest.fixture
def services(app: FastAPI, address: str) -> Services:
    return app.state.services


@pytest.fixture
def key(services: Services) -> str:
    return create_key(services.db, "a test", "alice", list(Scope))


def test_an_order_with_a_key_from_end_to_end(
    services: Services, address: str, key: str, tmp_path: Path
) -> None:
    with Client(address, key=key) as client:
        job = client.order(4, resolution=64)
        make_items(services)
        assert client.wait(job["id"])["status"] == "succeeded"
        # On S3 this follows a link to another server, which would refuse a key of ours.
        client.download(job["id"], tmp_path / "dataset.zip")
    assert ZipFile(tmp_path / "dataset.zip").testzip() is None


def test_the_environment_may_hold_the_key(
    address: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNDUSMITH_API_KEY", key)
    with Client(address) as client:
        assert client.order(1)["status"] == "queued"
    with Client(address, key="fs_another") as client, pytest.raises(ServiceError) as caught:
        client.order(1)
    assert caught.value.status == 401


def test_a_missing_key_is_said(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUNDUSMITH_API_KEY", raising=False)
    with Client(address) as client, pytest.raises(ServiceError, match="Authorization") as caught:
        client.order(1)
    assert caught.value.status == 401

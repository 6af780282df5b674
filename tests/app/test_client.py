"""The client against an API that listens on a real port, on each kind of storage."""

import asyncio
import inspect
import json
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints
from zipfile import ZipFile

import pytest
from fastapi import FastAPI

from app import client as package
from app.access.service import create_key
from app.access.tables import Scope
from app.client import (
    AsyncClient,
    Client,
    ClientError,
    DamagedError,
    Dataset,
    JobFailedError,
    ServiceError,
    UnreachableError,
    answers,
    async_client,
    async_handles,
    client,
    downloads,
    handles,
    parts,
    uploading,
)
from app.client.contents import _digest
from app.client.downloads import quiet
from app.client.steps import EvaluationOptions, OrderOptions, RunOptions, UploadOptions
from app.client.uploading import send_upload
from app.deps import Services
from app.main import create_app
from app.settings import Access, Settings
from app.uploads.parts import SMALLEST_PART
from tests.app.lossy import Lossy
from tests.app.making import make_items
from tests.app.serving import serve, working
from tests.zips import pack, pairs

OPENAPI = json.loads((Path(package.__file__).parents[2] / "openapi.json").read_text())
embedded = pytest.mark.parametrize("parts", ["embedded"], indirect=True)


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


@pytest.fixture
def here(address: str, key: str) -> Iterator[Client]:
    with Client(address, key=key) as client:
        yield client


@pytest.fixture
def made(here: Client, services: Services, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A data set that is there, and comes in many pieces."""
    monkeypatch.setattr(downloads, "PIECE", 1000)
    dataset = here.datasets.order(6, resolution=64)
    make_items(services)
    return dataset.wait()


class Cut(Exception):
    pass


def cut_off(dataset: Dataset, folder: Path, after: int = 3000) -> Path:
    """Downloads a part of the data set; where it is."""

    def cut(done: int, total: int) -> None:
        if done >= after:
            raise Cut

    with pytest.raises(Cut):
        dataset.download(folder, cut)
    (part,) = folder.iterdir()
    return part


def test_an_interrupted_download_goes_on(made: Dataset, tmp_path: Path) -> None:
    # On S3 this follows links to another server, which would refuse a key of ours.
    folder = tmp_path / "data"
    part = cut_off(made, folder)
    assert part.name.endswith(".part")
    had, seen = part.stat().st_size, []
    (path,) = made.download(folder, lambda done, total: seen.append((done, total)), unpack=True)
    assert 0 < had == seen[0][0] and seen[-1] == (made.archive.bytes, made.archive.bytes)
    assert sorted(item.name for item in folder.iterdir()) == [made.id, f"{made.id}.zip"]
    assert ZipFile(path).testzip() is None
    assert (folder / made.id / "train" / "images" / "000005.png").exists()
    # What is there is not fetched again.
    again: list[int] = []
    assert made.download(folder, lambda done, total: again.append(done)) == [path]
    assert again == [made.archive.bytes]


@embedded
def test_a_damaged_file_is_found(made: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    part = cut_off(made, folder)
    data = bytearray(part.read_bytes())
    data[data.index(b"IDAT") + 6] ^= 1
    part.write_bytes(data)
    with pytest.raises(DamagedError) as caught:
        made.download(folder)
    assert caught.value.names and caught.value.names[0].startswith("train/")
    assert list(folder.iterdir()) == []
    (path,) = made.download(folder)
    assert ZipFile(path).testzip() is None


@embedded
@pytest.mark.parametrize(("place", "value"), [(8, 8), (6, 1)], ids=["packed", "encrypted"])
def test_a_damaged_header_is_found(made: Dataset, tmp_path: Path, place: int, value: int) -> None:
    """The entry says that it is deflated, or encrypted, which none in an archive is."""
    (path,) = made.download(tmp_path)
    data = bytearray(path.read_bytes())
    name = ZipFile(path).namelist()[-1]
    listed = data.rindex(b"PK\x01\x02")
    local = ZipFile(path).getinfo(name).header_offset
    data[local + place] |= value
    data[listed + place + 2] |= value
    path.write_bytes(data)
    with ZipFile(path) as archive:
        assert _digest(archive, name) is None


@embedded
def test_an_order_whose_answer_is_lost_is_placed_once(settings: Settings) -> None:
    lossy = Lossy(create_app(settings), loses=1)

    async def order_async(address: str) -> str:
        async with AsyncClient(address) as client:
            return (await client.datasets.order(2)).id

    with serve(lossy) as address, Client(address) as client:  # type: ignore[arg-type]
        first = client.datasets.order(2)
        assert lossy.posts == 2
        lossy.loses += lossy.posts
        second = asyncio.run(order_async(address))
        assert lossy.posts == 4
        assert [dataset.id for dataset in client.datasets.list()] == [second, first.id]


@embedded
def test_an_upload_that_may_have_come_is_not_sent_again(settings: Settings, tmp_path: Path) -> None:
    for name, data in pairs(2).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    lossy = Lossy(create_app(settings))
    with serve(lossy) as address, Client(address) as client:  # type: ignore[arg-type]
        with pytest.raises(UnreachableError):
            client.uploads.create(tmp_path)
        assert (len(client.uploads.list()), lossy.posts) == (1, 1)


def test_linked_files_and_folders_are_sent(tmp_path: Path) -> None:
    (tmp_path / "data/images").mkdir(parents=True)
    (tmp_path / "data/images/1.png").write_bytes(b"1")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/.hidden").write_bytes(b"2")
    (tmp_path / "own/2.png").symlink_to(tmp_path / "data/images/1.png")
    (tmp_path / "own/images").symlink_to(tmp_path / "data/images")
    (tmp_path / "data/images/again").symlink_to(tmp_path / "data")
    with uploading._as_zip(tmp_path / "own") as zipped, ZipFile(zipped) as archive:
        assert archive.namelist() == ["2.png", "images/1.png"]
    (tmp_path / "own/lost.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ClientError, match=r"lost\.png: a link to .*nowhere\.png"):
        send_upload(None, tmp_path / "own", "pairs", quiet)  # type: ignore[arg-type]


def test_a_large_upload_goes_on_where_it_was(
    here: Client, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On S3 the parts go to another server, which would refuse a key of ours.
    file = tmp_path / "pairs.zip"
    file.write_bytes(pack(pairs(2) | {"notes.txt": os.urandom(2 * SMALLEST_PART)}))
    size = file.stat().st_size
    monkeypatch.setattr(uploading, "PARTS_FROM", size)
    monkeypatch.setattr(parts, "AT_ONCE", 1)

    def cut(done: int, total: int) -> None:
        if done > 1.5 * SMALLEST_PART:
            raise Cut

    with pytest.raises(Cut):
        here.uploads.create(file, on_bytes=cut)
    (begun,) = here.uploads.list()
    assert begun.receiving
    seen: list[int] = []
    upload = here.uploads.create(file, on_bytes=lambda done, total: seen.append(done))
    assert (upload.id, seen[0] // SMALLEST_PART, seen[-1]) == (begun.id, 1, size)
    with working(services):
        assert upload.wait(poll_seconds=0.05).count == 2
    # A zip that is there is not sent again, one that was deleted is.
    assert here.uploads.create(file).id == upload.id
    upload.delete()
    again = here.uploads.create(file)
    assert (again.id != upload.id, again.receiving) == (True, False)


@embedded
def test_what_is_refused_is_said(here: Client, services: Services, tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as refused:
        here.datasets.order(0, eye="up")  # type: ignore[arg-type]
    assert refused.value.status == 422
    assert [fault.place for fault in refused.value.faults] == ["#/count", "#/eye"]
    dataset = here.datasets.order(4)
    with pytest.raises(TimeoutError, match="queued"):
        dataset.wait(poll_seconds=0.01, timeout=0.05)
    dataset.cancel()
    with pytest.raises(JobFailedError, match="cancelled") as failed:
        dataset.wait()
    with pytest.raises(JobFailedError):
        failed.value.job.download(tmp_path)
    assert dataset.wait(check=False).status == "cancelled"


@embedded
def test_the_environment_may_hold_address_and_key(
    address: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNDUSMITH_API_KEY", key)
    monkeypatch.setenv("FUNDUSMITH_SERVICE", address)
    with Client() as client:
        assert client.datasets.order(1).status == "queued"
    monkeypatch.delenv("FUNDUSMITH_API_KEY")
    for refused in ("fs_another", None):
        with Client(key=refused) as client, pytest.raises(ServiceError, match="key") as caught:
            client.datasets.order(1)
        assert caught.value.status == 401


@embedded
def test_the_async_client_does_the_same(
    address: str, key: str, services: Services, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    for name, data in pairs(8).items():
        (tmp_path / "own" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "own" / name).write_bytes(data)

    async def use() -> list[Path]:
        async with AsyncClient(address, key=key) as client:
            ordered = await asyncio.gather(*(client.datasets.order(2, seed=n) for n in (1, 2)))
            ended = await asyncio.gather(*(one.wait(poll_seconds=0.02) for one in ordered))
            upload = await client.uploads.create(tmp_path / "own")
            assert (await upload.wait(poll_seconds=0.02)).count == 8
            run = await client.training_runs.start(
                upload.id, "mine", images=300, start_from="eye", settings={"photo": {"width": 0.5}}
            )
            assert run.request["from"] == "eye@1.0.0"
            assert (await client.job(run.id)).id == run.id
            evaluation = await client.evaluations.order(
                upload.id, model="eye", train=4, only=["measures"]
            )
            (listed,) = await client.evaluations.list(model="eye@1.0.0")
            assert (await client.job(listed.id)).id == evaluation.id
            (model,) = await client.models.list()
            paths = [await model.export(tmp_path)]
            for dataset in ended:
                paths += await dataset.download(tmp_path)
            return paths

    with working(services):
        paths = asyncio.run(use())
    assert [ZipFile(path).testzip() for path in paths] == [None] * 3


def _public(kind: type) -> dict[str, list[str]]:
    """Its methods, and the names of their parameters."""
    return {
        name.replace("__a", "__"): list(inspect.signature(method).parameters)
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if name in ("__init__", "__enter__", "__aenter__") or not name.startswith("_")
    }


@pytest.mark.parametrize(
    ("blocking", "awaited"), [(client, async_client), (handles, async_handles)]
)
def test_both_clients_can_do_the_same(blocking: Any, awaited: Any) -> None:
    kinds = [
        kind
        for name, kind in inspect.getmembers(blocking, inspect.isclass)
        if kind.__module__ == blocking.__name__
    ]
    assert kinds
    for kind in kinds:
        other = _public(getattr(awaited, f"Async{kind.__name__}"))
        other.pop("blocking", None)
        assert _public(kind) == other


def _schema_fields(name: str) -> set[str]:
    return set(OPENAPI["components"]["schemas"][name]["properties"])


def test_the_types_know_the_fields_that_the_service_has() -> None:
    same = {
        answers.DatasetAnswer: "Dataset",
        answers.UploadAnswer: "Upload",
        answers.RunAnswer: "TrainingRun",
        answers.ModelAnswer: "Model",
        answers.Quote: "Quote",
        answers.Usage: "Usage",
        answers.Progress: "Progress",
        answers.Estimate: "Estimate",
        answers.Archive: "Archive",
        answers.Volume: "Volume",
        answers.Report: "Report",
        answers.UsedPicture: "UsedPicture",
        answers.RefusedFile: "RefusedFile",
        answers.IgnoredFile: "IgnoredFile",
        answers.RunProgress: "RunProgress",
        answers.StageProgress: "StageProgress",
        answers.MetricsLine: "MetricsLine",
        answers.UsageDay: "UsageDay",
        answers.QueueEstimate: "QueueEstimate",
        answers.EvaluationAnswer: "Evaluation",
        answers.EvaluationProgress: "EvaluationProgress",
        answers.StepInHand: "StepInHand",
        answers.Summary: "Summary",
        answers.JobError: "JobError",
    }
    for kind, schema in same.items():
        assert {f.name for f in fields(kind)} - {"document"} <= _schema_fields(schema), schema
    assert {"count", *get_type_hints(OrderOptions)} == _schema_fields("DatasetOrder")
    assert {"upload", "name", "budget", "from", *get_type_hints(RunOptions)} == _schema_fields(
        "TrainingOrder"
    )
    assert {"upload", "model", "dataset", *get_type_hints(EvaluationOptions)} == _schema_fields(
        "EvaluationOrder"
    )
    assert {"kind", "bytes", "sha256", *get_type_hints(UploadOptions)} == _schema_fields(
        "PartsOrder"
    )
    for name in ("layout", "image_format", "eye"):
        choices = OPENAPI["components"]["schemas"]["DatasetOrder"]["properties"][name]["anyOf"][0]
        assert list(get_args(get_type_hints(OrderOptions)[name])) == choices["enum"]

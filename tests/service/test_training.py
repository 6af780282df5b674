"""Training runs of the whole service: real processes from the upload to the zip of pairs."""

import io
import os
import signal
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.client import ENDED
from app.settings import SOURCE_TREE
from tests.service.running import RunningService, children, is_alive
from tests.waiting import wait_until
from tests.worker.runs import TINY
from tests.zips import pack, photograph, picture, vessels

CHASE_DB1 = SOURCE_TREE.parent / "shared" / "data" / "CHASE_DB1"
PAIRS = 20
IMAGES = 32  # for each stage: 4 slices of a step, and 8
LONG = 100_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("service")
    with RunningService(folder, models_dir, slice_seconds=0.01) as service:
        yield service


@pytest.fixture(scope="module")
def http(service: RunningService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.address, timeout=60, trust_env=False) as http:
        yield http


@pytest.fixture(scope="module")
def pairs() -> bytes:
    """A zip of pairs as CHASE_DB1 is given out: its names, two observers, no masks."""
    files = {}
    for number in range(PAIRS):
        name = f"CHASEDB1/Image_{number // 2 + 1:02d}{'LR'[number % 2]}"
        variant = number if number < 18 else number + 3  # those between look alike
        files[f"{name}.jpg"] = picture(photograph(variant), "JPEG", quality=95)
        files[f"{name}_1stHO.png"] = picture(vessels(variant))
        files[f"{name}_2ndHO.png"] = picture(vessels(variant))
    return pack(files)


@pytest.fixture(scope="module")
def upload(http: httpx.Client, pairs: bytes) -> str:
    return send(http, pairs)


def send(http: httpx.Client, data: bytes) -> str:
    response = http.post(
        "/uploads?kind=pairs", content=data, headers={"Content-Type": "application/zip"}
    )
    assert response.status_code == 202, response.text
    upload = wait_for(http, response.headers["location"], *ENDED)
    assert (upload["status"], upload["count"]) == ("succeeded", PAIRS), upload
    return upload["id"]


def order(http: httpx.Client, upload: str, images: int = IMAGES, **fields: Any) -> str:
    """Orders a run; returns its path."""
    body = {
        "upload": upload,
        "name": "mine",
        "resolution": 64,
        "budget": {"images": images},
        "seed": 3,
        "settings": TINY,
        **fields,
    }
    response = http.post("/training-runs", json=body)
    assert response.status_code == 202, response.text
    return response.headers["location"]


def wait_for(http: httpx.Client, home: str, *statuses: str) -> dict[str, Any]:
    wait_until(lambda: http.get(home).json()["status"] in statuses, seconds=240)
    return http.get(home).json()


def succeed(http: httpx.Client, home: str) -> dict[str, Any]:
    run = wait_for(http, home, *ENDED)
    assert run["status"] == "succeeded", run
    return run


def weights(http: httpx.Client, run: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of each weights file of the run's model."""
    response = http.get(f"{run['links']['model']}/export", follow_redirects=True)
    with zipfile.ZipFile(io.BytesIO(response.content)) as package:
        names = ("vessel.safetensors", "translator.safetensors", "tracer.safetensors")
        return {name: sha256(package.read(name)).hexdigest() for name in names}


@pytest.fixture(scope="module")
def undisturbed(http: httpx.Client, upload: str) -> dict[str, Any]:
    return succeed(http, order(http, upload, name="undisturbed"))


def images(http: httpx.Client, home: str) -> int:
    return sum(stage["images"] for stage in http.get(home).json()["progress"]["stages"])


def open_dataset(http: httpx.Client, model: str) -> None:
    """Orders pairs of the model and looks at each."""
    body = {"count": 4, "resolution": 64, "model": model, "seed": 7}
    home = http.post("/datasets", json=body).headers["location"]
    data_set = wait_for(http, home, *ENDED)
    assert data_set["status"] == "succeeded", data_set
    response = http.get(f"{home}/download", follow_redirects=True)
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        for index in range(4):
            image, label = (
                np.asarray(Image.open(archive.open(f"train/{kind}/{index:06d}.png")))
                for kind in ("images", "labels")
            )
            assert image.shape == (64, 64, 3)
            assert set(np.unique(label)) <= {0, 255}


def test_twenty_pairs_become_a_model_that_makes_pairs(
    http: httpx.Client, undisturbed: dict[str, Any]
) -> None:
    run, home = undisturbed, undisturbed["links"]["self"]
    assert run["model"] == "undisturbed@1.0.0"
    vessel, photo = (stage["images"] for stage in run["progress"]["stages"])
    assert (vessel, photo) == (IMAGES, IMAGES - 4 + 16)  # the last step, of tracing, takes 16 parts
    assert run["pairs"] == PAIRS
    model = http.get(run["links"]["model"]).json()
    assert model["training_data"]["images"][0] == "Image_01L.jpg"

    lines = http.get(run["links"]["metrics"], params={"stage": "photo"}).json()["data"]
    assert lines[-1]["images"] == photo
    assert any(line["values"].get("discriminator loss", 0) > 0 for line in lines)
    assert lines[-1]["values"]["tracing loss"] > 0
    for sheet in http.get(run["links"]["samples"]).json()["data"]:
        with Image.open(io.BytesIO(http.get(sheet["link"]).content)) as samples:
            assert samples.format == "PNG"
    with zipfile.ZipFile(io.BytesIO(http.get(run["links"]["tensorboard"]).content)) as events:
        assert {name.split("/")[1] for name in events.namelist()} == {"vessel", "photo"}
    with http.stream("GET", f"{home}/events") as stream:
        assert '"status":"succeeded"' in stream.read().decode()
    open_dataset(http, "undisturbed")


@pytest.mark.skipif(not CHASE_DB1.is_dir(), reason="the real pairs are not at hand")
def test_chase_db1_as_it_comes(http: httpx.Client) -> None:
    files = {
        str(path.relative_to(CHASE_DB1)): path.read_bytes()
        for path in sorted(CHASE_DB1.rglob("Image_*"))
        if int(path.name[6:8]) <= PAIRS // 2
    }
    upload = send(http, pack(files))
    run = succeed(http, order(http, upload, images=16, name="chase"))
    open_dataset(http, run["model"])


def test_killed_cancelled_and_restarted_it_ends_with_the_same_bits(
    service: RunningService, http: httpx.Client, upload: str, undisturbed: dict[str, Any]
) -> None:
    home = order(http, upload, name="disturbed")
    kill_trainer(service, http, home, 0.3 * IMAGES)

    wait_for_more(http, home)
    http.post(f"{home}/cancel")
    assert wait_for(http, home, *ENDED)["status"] == "cancelled"
    trained = images(http, home)
    assert 0 < trained < 2 * IMAGES
    assert http.post(f"{home}/resume", json={}).is_success
    assert images(http, home) >= trained

    wait_for_more(http, home)
    service.restart()
    http.base_url = httpx.URL(service.address)
    wait_for_more(http, home)

    kill_trainer(service, http, home, 1.3 * IMAGES)  # in the other stage
    assert weights(http, succeed(http, home)) == weights(http, undisturbed)


def wait_for_more(http: httpx.Client, home: str) -> None:
    """Returns once the run has trained on."""
    trained = images(http, home)
    wait_until(lambda: images(http, home) > trained)


def kill_trainer(service: RunningService, http: httpx.Client, home: str, trained: float) -> None:
    """Kills what trains once the run has had so many images."""
    wait_until(lambda: images(http, home) >= trained)
    kill(service)
    assert http.get(home).json()["status"] in ("running", "packaging")


def kill(service: RunningService) -> None:
    trainer = service.pid("trainer")
    for process in (trainer, *children(trainer)):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: not is_alive(trainer))


def test_an_evaluation_goes_on_after_its_worker_was_killed(
    service: RunningService, http: httpx.Client, upload: str, undisturbed: dict[str, Any]
) -> None:
    names = [f"Image_{number // 2 + 1:02d}{'LR'[number % 2]}.jpg" for number in range(PAIRS)]
    body = {
        "model": undisturbed["model"],
        "upload": upload,
        "train": names[:12],
        "hold_out": names[12:],
        "pairs": 16,
        "seeds": 1,
        "steps": 40,
        "only": ["synthetic"],
    }
    home = http.post("/evaluations", json=body).headers["location"]
    wait_until(lambda: any(each["share"] for each in http.get(home).json()["progress"]["current"]))
    kill(service)
    evaluation = succeed(http, home)
    assert evaluation["progress"] == {"steps": 1, "done": 1, "current": []}
    assert evaluation["summary"]["f1"].keys() == {"synthetic"}
    report = http.get(evaluation["links"]["report"]).json()
    assert len(report["facts"]["pairs"]["test"]) == PAIRS - 12
    assert "</html>" in http.get(evaluation["links"]["page"]).text


def test_a_second_run_waits_its_turn_and_orders_do_not(
    service: RunningService, http: httpx.Client, upload: str
) -> None:
    first, second = (order(http, upload, images=LONG, stages="both") for _ in range(2))
    wait_for(http, first, "running")
    service.succeed(service.client.datasets.order(8, model="tiny-64"))
    waiting = http.get(second).json()
    assert (waiting["status"], waiting["estimate"]["queue_position"]) == ("queued", 1)
    assert http.get(first).json()["status"] == "running"
    assert http.delete(f"/uploads/{upload}").status_code == 409
    http.post(f"{first}/cancel")
    wait_for(http, second, "running")
    for home in (first, second):
        assert http.delete(home).status_code == 204

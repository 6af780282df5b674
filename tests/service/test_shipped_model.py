"""The service with the model that ships, as a user meets it."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.settings import Settings
from models.package import load_package
from models.sampling import PairSampler, pair_seed
from tests.service.running import RunningService

datasets = pytest.importorskip("datasets")

COUNT = 10
SEED = 3


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What is in the zip of an order that names nothing but its size and seed."""
    folder = tmp_path_factory.mktemp("shipped")
    models_dir = Settings(data_dir=folder).models_dir
    with RunningService(folder / "data", models_dir) as service:
        job = service.succeed(service.client.datasets.order(COUNT, seed=SEED))
        job.download(folder / "dataset.zip")
    assert job["request"]["model"].startswith("chase-256@")
    with zipfile.ZipFile(folder / "dataset.zip") as archive:
        archive.extractall(folder / "unpacked")
    yield folder / "unpacked"


@pytest.fixture
def rows(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    cache = str(tmp_path / "cache")
    return list(
        datasets.load_dataset("imagefolder", data_dir=str(unpacked), split="train", cache_dir=cache)
    )


def test_it_loads_as_pictures_of_the_size_ordered(rows: list[dict]) -> None:
    assert len(rows) == COUNT
    for row in rows:
        assert (row["image"].mode, row["label"].mode, row["mask"].mode) == ("RGB", "L", "L")
        assert row["image"].size == row["label"].size == row["mask"].size == (256, 256)
        for which in ("label", "mask"):
            assert set(np.unique(np.asarray(row[which]))) == {0, 255}
        outside = np.asarray(row["mask"]) == 0
        assert not np.asarray(row["image"])[outside].any()


def test_no_two_labels_are_alike(rows: list[dict]) -> None:
    assert len({row["label"].tobytes() for row in rows}) == COUNT


def test_any_pair_can_be_made_again_from_what_the_archive_says(
    unpacked: Path, rows: list[dict]
) -> None:
    manifest = json.loads((unpacked / "manifest.json").read_text())
    assert manifest["seeds"][7] == rows[7]["seed"] == pair_seed(SEED, 7)
    models_dir = Settings(data_dir=unpacked).models_dir
    package = load_package(models_dir / manifest["package"]["name"])
    assert package.digest == manifest["package"]["digest"]
    (pair,) = PairSampler(package, "cpu").sample([rows[7]["seed"]])
    np.testing.assert_array_equal(np.asarray(rows[7]["image"]), pair.image)
    np.testing.assert_array_equal(np.asarray(rows[7]["label"]), pair.label)

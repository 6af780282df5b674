"""The service with the model that ships, as a user meets it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.settings import Settings
from models.package import load_package
from models.sampling import PairSampler, pair_seed
from tests.service.running import RunningService

datasets = pytest.importorskip("datasets")

ROOT = Path(__file__).parents[2]
COUNT = 10
SEED = 3
BETWEEN = "---- the next block ----"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("service")
    with RunningService(folder, Settings(data_dir=folder).models_dir) as service:
        yield service


@pytest.fixture(scope="module")
def unpacked(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in the zip of an order that names nothing but its size and seed."""
    job = service.succeed(service.client.datasets.order(COUNT, seed=SEED))
    assert job["request"]["model"].startswith("chase-256@")
    folder = tmp_path_factory.mktemp("shipped")
    job.download(folder / "dataset.zip", unpack=True)
    return folder / "dataset"


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


def test_the_tutorial_works_line_by_line(service: RunningService, tmp_path: Path) -> None:
    """Its blocks run in one shell, as a reader's do; what stands below one is what it prints."""
    page = (ROOT / "docs" / "tutorial.md").read_text()
    blocks = re.findall(r"```(\w+)\n(.*?)```(?:\n\n```text\n(.*?)```)?", page, re.DOTALL)
    (_, start, _), *blocks = blocks
    assert start == "make run\n"  # which is what the fixture has done
    programs = {"sh": "{}", "python": "python - <<'END'\n{}END\n"}
    script = "set -eo pipefail\n" + f"echo {BETWEEN}\n".join(
        programs[language].format(code) for language, code, _ in blocks
    )
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run(
        ["bash", "-c", script.replace("localhost:8000", service.address)],
        cwd=tmp_path,
        env=os.environ | {"FUNDUSMITH_SERVICE": service.address, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for (_, code, claimed), printed in zip(blocks, done.stdout.split(f"{BETWEEN}\n"), strict=True):
        said = [re.sub(" +", " ", line.rstrip()) for line in printed.splitlines()]
        wanted = re.escape(re.sub(" +", " ", claimed)).replace(r"\.\.\.", ".*")
        assert not claimed or re.fullmatch(wanted, "\n".join(said) + "\n"), (code, printed)

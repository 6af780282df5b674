"""What a new user runs first: ``fundusmith demo``, as ``make demo`` calls it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from PIL import Image

from tests.service.running import RunningService


def demo(environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.command", "demo", "--count", "5", "--folder", str(folder)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_starts_a_service_of_its_own(models_dir: Path, tmp_path: Path) -> None:
    service = RunningService(tmp_path / "data", models_dir)  # not entered: only its settings
    run = demo(service.environment | {"FUNDUSMITH_PORT": "0"}, tmp_path / "demo")
    assert run.returncode == 0, run.stdout + run.stderr
    with zipfile.ZipFile(tmp_path / "demo" / "dataset.zip") as archive:
        assert archive.testzip() is None
        assert sum(name.startswith("train/images/") for name in archive.namelist()) == 5
    assert Image.open(tmp_path / "demo" / "preview.png").format == "PNG"
    assert "5/5" in run.stderr  # the progress bar went all the way
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        "dataset.zip",
        "preview.png",
    ]


def test_uses_the_service_that_runs(service: RunningService, tmp_path: Path) -> None:
    port = service.address.rpartition(":")[2]
    run = demo(service.environment | {"FUNDUSMITH_PORT": port}, tmp_path / "demo")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Starting the service" not in run.stdout
    assert (tmp_path / "demo" / "dataset.zip").exists()


def test_no_model_is_said_plainly(tmp_path: Path) -> None:
    service = RunningService(tmp_path / "data", tmp_path / "no models")
    run = demo(service.environment | {"FUNDUSMITH_PORT": "0"}, tmp_path / "demo")
    assert run.returncode == 1
    assert run.stderr.startswith("Error: ")
    assert "Traceback" not in run.stderr
    assert list((tmp_path / "demo").iterdir()) == []


def test_wrong_setting_is_named(tmp_path: Path) -> None:
    service = RunningService(tmp_path / "data", tmp_path)
    run = demo(service.environment | {"FUNDUSMITH_PORT": "eighty"}, tmp_path / "demo")
    assert run.returncode == 1
    assert "FUNDUSMITH_PORT: " in run.stderr

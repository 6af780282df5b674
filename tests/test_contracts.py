"""What must hold of the source tree as a whole."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("app", "worker", "models", "bench", "examples", "tests")


def test_rooms_import_only_what_they_may():
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_no_source_file_is_too_long_to_read(room):
    long = [p for p in (ROOT / room).rglob("*.py") if p.stat().st_size > 20_000]
    assert not long


def test_the_service_starts_without_torch_and_what_traces():
    """The API's image holds no torch: importing the application must not need it."""
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['models'] = None;"
        "sys.modules['opentelemetry.sdk'] = None;"
        "import app.main, app.command; print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "ok", done.stderr


def test_every_make_target_is_listed_by_help():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = [line for line in makefile.splitlines() if line.startswith(".PHONY:")]
    for target in phony.removeprefix(".PHONY:").split():
        assert f"make {target} " in shown

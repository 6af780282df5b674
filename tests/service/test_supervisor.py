"""How the supervisor keeps one process running."""

import logging
import re
from pathlib import Path

import pytest

from app.supervisor import Child
from tests.service.running import is_alive
from tests.waiting import wait_until

STARTED = re.compile(r"sleeper started \(process (\d+)\)")


def test_started_again_after_growing_pauses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    starts = tmp_path / "starts"
    child = Child("failing", ["sh", "-c", f"echo >> {starts}; exit 3"])

    def started_three_times() -> bool:
        child.keep_running()
        return starts.exists() and len(starts.read_text()) == 3

    wait_until(started_three_times)
    child.wait(10)
    pauses = re.findall(
        r"failing ended \(exit status 3\), starting it again in (\S+) s", caplog.text
    )
    assert pauses[:2] == ["0.2", "0.4"]


def test_deaf_process_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ready = tmp_path / "ready"
    child = Child(
        "sleeper", ["sh", "-c", f"trap '' TERM; touch {ready}; while :; do sleep 1; done"]
    )
    child.keep_running()
    wait_until(ready.exists)
    pid = int(STARTED.search(caplog.text)[1])
    assert is_alive(pid)
    child.terminate()
    child.wait(0.2)
    assert not is_alive(pid)
    assert "did not stop" in caplog.text


def test_folders_are_made_anew_at_each_start(tmp_path: Path) -> None:
    """The broker's may have been removed with all that was in it."""
    folder = tmp_path / "folder"
    child = Child("listing", ["ls", str(folder)], folder.mkdir)
    child.keep_running()
    assert folder.is_dir()
    child.wait(10)

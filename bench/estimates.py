"""How right ``seconds_left`` is: ``python -m bench.estimates`` (``make estimates``).

Two orders, one behind the other, are watched to their ends; then each estimate is compared with what
was really left when it was given.
"""

import statistics
import tempfile
import time
from pathlib import Path

import click

from app.client import Client
from app.local_service import local_service

POLL_SECONDS = 1.0
LEAST_LEFT = 5.0  # seconds; below, polling itself is what is measured
GOAL = 1 / 3


def watch(client: Client, jobs: list[str]) -> dict[str, list[tuple[float, float]]]:
    """(seconds estimated, seconds really left) of each look at each job, until all have ended."""
    looks: dict[str, list[tuple[float, float]]] = {job: [] for job in jobs}
    ended: dict[str, float] = {}
    while len(ended) < len(jobs):
        time.sleep(POLL_SECONDS)
        for job in jobs:
            if job in ended:
                continue
            shown, now = client.datasets.get(job), time.monotonic()
            if shown.ended:
                ended[job] = now
            elif (left := shown.estimate.seconds_left) is not None:
                looks[job].append((left, now))
    return {job: [(left, ended[job] - at) for left, at in looks[job]] for job in jobs}


@click.command()
@click.option("--count", default=900, show_default=True, help="Pairs of the first order.")
@click.option("--behind", default=300, show_default=True, help="Pairs of the order behind it.")
def main(count: int, behind: int) -> None:
    """Measure and print how far off the estimates were."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = {"FUNDUSMITH_DATA_DIR": scratch}
        with (
            local_service(environment, Path(scratch) / "service.log") as service,
            Client(service.address) as client,
        ):
            jobs = [client.datasets.order(pairs).id for pairs in (count, behind)]
            looks = watch(client, jobs)
    for pairs, job in zip((count, behind), jobs, strict=True):
        rows = [(left, real) for left, real in looks[job] if real >= LEAST_LEFT]
        off = [abs(left - real) / real for left, real in rows]
        within = sum(error <= GOAL for error in off) / len(off)
        print(
            f"{pairs} pairs, {rows[0][1]:.0f} s: {len(off)} estimates, {within:.0%} within a third; "
            f"off by {statistics.median(off):.0%} (median), {max(off):.0%} at most; "
            f"first {rows[0][0]:.0f} s for {rows[0][1]:.0f} s"
        )


if __name__ == "__main__":
    main()

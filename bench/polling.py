"""Status polling beside a running order: ``python -m bench.polling`` (``make load``).

Requests are sent at a fixed rate whether or not the ones before have been answered, so that a slow
answer does not hide the wait of those behind it; each is timed from when it was due.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import click
import httpx

from app.client import Client
from app.local_service import local_service

COUNT = 100_000  # more than is made while the measurement runs


async def poll(address: str, rate: float, seconds: float) -> list[float]:
    """Milliseconds of each answer. Raises httpx.HTTPStatusError for one that is an error."""
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(limits=limits, timeout=30, trust_env=False) as client:
        begin = time.perf_counter()

        async def ask(due: float) -> float:
            await asyncio.sleep(due - time.perf_counter())
            (await client.get(address)).raise_for_status()
            return 1000 * (time.perf_counter() - due)

        asked = (ask(begin + i / rate) for i in range(round(rate * seconds)))
        return await asyncio.gather(*asked)


@click.command()
@click.option("--rate", default=200.0, show_default=True, help="Requests a second.")
@click.option("--seconds", default=20.0, show_default=True, help="How long.")
def main(rate: float, seconds: float) -> None:
    """Measure and print the answers' times."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = {"FUNDUSMITH_DATA_DIR": scratch}
        with (
            local_service(environment, Path(scratch) / "service.log") as service,
            Client(service.address) as client,
        ):
            job = client.order(COUNT)["id"]
            while client.job(job)["progress"]["generated"] == 0:
                time.sleep(0.1)
            before, begin = client.job(job)["progress"]["generated"], time.perf_counter()
            times = asyncio.run(poll(f"{service.address}/datasets/{job}", rate, seconds))
            took = time.perf_counter() - begin
            made = client.job(job)["progress"]["generated"] - before
            client.cancel(job)
    cuts = statistics.quantiles(times, n=100)
    print(f"{len(times)} answers at {len(times) / took:.0f}/s beside {made / took:.2f} pairs/s")
    print(f"milliseconds: p50 {cuts[49]:.1f}, p99 {cuts[98]:.1f}, longest {max(times):.1f}")


if __name__ == "__main__":
    main()

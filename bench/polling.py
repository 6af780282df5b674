"""Status polling beside a running order: ``python -m bench.polling`` (``make load``).

Requests are sent at a fixed rate whether or not the ones before have been answered, so that a slow
answer does not hide the wait of those behind it; each is timed from when it was due. The client speaks
just enough HTTP to be no load itself.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import click

from app.client import Client
from app.local_service import local_service

COUNT = 100_000  # more than is made while the measurement runs
CONNECTIONS = 50


async def poll(address: str, rate: float, seconds: float) -> list[float]:
    """Milliseconds of each answer. Raises RuntimeError for one that is an error."""
    url = urlsplit(address)
    request = f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode()
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection(url.hostname, url.port))
    begin = time.perf_counter()

    async def ask(due: float) -> float:
        await asyncio.sleep(due - time.perf_counter())
        reader, writer = await free.get()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if not head.startswith("HTTP/1.1 200 "):
            raise RuntimeError(head)
        fields = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
        await reader.readexactly(int(fields["content-length"]))
        free.put_nowait((reader, writer))
        return 1000 * (time.perf_counter() - due)

    return await asyncio.gather(*(ask(begin + i / rate) for i in range(round(rate * seconds))))


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
            job = client.datasets.order(COUNT)
            while job.progress.generated == 0:
                time.sleep(0.1)
                job = job.refresh()
            begin = time.perf_counter()
            times = asyncio.run(poll(service.address + job.path, rate, seconds))
            took = time.perf_counter() - begin
            made = job.refresh().progress.generated - job.progress.generated
            job.cancel()
    cuts = statistics.quantiles(times, n=100)
    print(f"{len(times)} answers at {len(times) / took:.0f}/s beside {made / took:.2f} pairs/s")
    print(f"milliseconds: p50 {cuts[49]:.1f}, p99 {cuts[98]:.1f}, longest {max(times):.1f}")


if __name__ == "__main__":
    main()

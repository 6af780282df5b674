"""Pairs a second of the service against the bare sampling loop, and milliseconds of each stage.

Both run in turn on the same machine with the same model, so that what else the machine does falls
on both alike. The service is a real one, with a data folder of its own.
"""

import json
import os
import platform
import statistics
import tempfile
from pathlib import Path
from typing import Any

import click

from app.client import Client
from app.local_service import local_service
from app.settings import Settings
from bench.measure import bare_rate, order_of, sample_all, service_rate, stage_times
from models.devices import keep_freed_memory
from models.loading import Package, Sampler, load_any_package, sampler_of
from worker.engine import environment_of

RESULTS = Path(__file__).parent / "results.json"


@click.command()
@click.option(
    "--package",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=lambda: Settings().models_dir / "chase-256",
    help="Folder of the model package; chase-256 if not given.",
)
@click.option("--count", default=64, show_default=True, help="Pairs in an order.")
@click.option("--repeats", default=3, show_default=True, help="Runs of each, in turn.")
def main(folder: Path, count: int, repeats: int) -> None:
    """Measure, print a table, and write bench/results.json."""
    keep_freed_memory()  # as the worker does
    package = load_any_package(folder)
    sampler = sampler_of(package, Settings().device)
    with tempfile.TemporaryDirectory() as scratch:
        rates = measure_rates(package, sampler, folder, count, repeats, Path(scratch))
        stages = stage_times(sampler, order_of(package, count), Path(scratch) / "stages")
    results = {
        "model": f"{package.name}@{package.version}",
        "count": count,
        "batch_size": sampler.batch_size,
        "environment": environment_of(sampler),
        "machine": {"platform": platform.platform(), "cpus": os.cpu_count()},
        "pairs_per_second": rates,
        "service_to_bare": statistics.median(rates["service"]) / statistics.median(rates["bare"]),
        "milliseconds_per_pair": stages,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print_table(results)


def measure_rates(
    package: Package,
    sampler: Sampler,
    folder: Path,
    count: int,
    repeats: int,
    scratch: Path,
) -> dict[str, list[float]]:
    """Pairs a second of each repeat, bare loop and service in turn, after a warm-up of both."""
    environment = {
        "FUNDUSMITH_DATA_DIR": str(scratch / "data"),
        "FUNDUSMITH_MODELS_DIR": str(folder.resolve().parent),
    }
    rates: dict[str, list[float]] = {"bare": [], "service": []}
    with (
        local_service(environment, scratch / "service.log") as service,
        Client(service.address) as client,
    ):
        sample_all(sampler, sampler.batch_size)
        service_rate(client, order_of(package, sampler.batch_size))
        for _ in range(repeats):
            rates["bare"].append(bare_rate(sampler, count))
            rates["service"].append(service_rate(client, order_of(package, count)))
    return rates


def print_table(results: dict[str, Any]) -> None:
    print(f"{results['model']}, orders of {results['count']}, batch {results['batch_size']}\n")
    print(f"{'pairs a second':28}{'median':>10}{'least':>10}{'most':>10}")
    for name, label in (("bare", "bare sampling loop"), ("service", "service, order to zip")):
        rates = results["pairs_per_second"][name]
        print(f"{label:28}{statistics.median(rates):>10.2f}{min(rates):>10.2f}{max(rates):>10.2f}")
    print(f"{'service to bare':28}{results['service_to_bare']:>10.2f}\n")
    print(f"{'milliseconds a pair':28}")
    for stage, milliseconds in results["milliseconds_per_pair"].items():
        print(f"{stage:28}{milliseconds:>10.2f}")


if __name__ == "__main__":
    main()

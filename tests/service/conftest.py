from collections.abc import Iterator
from pathlib import Path

import pytest

from models.package import write_tiny_package
from tests.service.collector import Collector, collecting
from tests.service.running import OBSERVED, RunningService, free_ports


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    write_tiny_package(folder / "tiny")
    return folder


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    """What takes the traces of the service below, soon."""
    with collecting() as collector, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")  # milliseconds
        yield collector


@pytest.fixture(scope="package")
def service(
    tmp_path_factory: pytest.TempPathFactory, models_dir: Path, collector: Collector
) -> Iterator[RunningService]:
    """One service for all tests of the whole service that need none of their own. It shows all that
    can be seen of it; others show what they do by default."""
    folder = tmp_path_factory.mktemp("service")
    settings = {**OBSERVED, "health_port": free_ports(3), "otlp_endpoint": collector.address}
    with RunningService(folder, models_dir, **settings) as service:
        yield service

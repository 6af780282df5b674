from collections.abc import Iterator
from pathlib import Path

import pytest

from models.package import write_tiny_package
from tests.service.running import OBSERVED, RunningService, free_ports


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    write_tiny_package(folder / "tiny")
    return folder


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[RunningService]:
    """One service for all tests of the whole service that need none of their own."""
    folder = tmp_path_factory.mktemp("service")
    with RunningService(folder, models_dir, **OBSERVED, health_port=free_ports(3)) as service:
        yield service

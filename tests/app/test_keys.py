"""API keys: what is stored of them, and the command that makes them."""

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.access.service import (
    InvalidKeyError,
    authenticate,
    create_key,
    list_keys,
    revoke_key,
)
from app.access.tables import Scope
from app.command import main
from app.database import Database
from app.main import create_app
from app.settings import Access, Settings, get_settings
from tests.app.callers import bearer
from tests.app.conftest import SteppingClock

Run = Callable[..., Result]


def test_a_key_cannot_be_read_from_the_database(db: Database) -> None:
    key = create_key(db, "laptop", "alice", [Scope.READ])
    prefix, public_id, secret = key.split("_", 2)
    assert (prefix, public_id) == ("fs", list_keys(db)[0].id)
    assert len(secret) == 43  # 32 bytes in base64
    with db.read() as session:
        stored = str(session.execute(text("SELECT * FROM api_keys")).one())
    assert public_id in stored
    assert secret not in stored


def test_no_two_keys_are_alike(db: Database) -> None:
    made = {create_key(db, "same", "same", [Scope.READ]) for _ in range(20)}
    assert len(made) == len({row.id for row in list_keys(db)}) == 20


def test_use_is_noted_to_the_minute(db: Database, clock: SteppingClock) -> None:
    key = create_key(db, "laptop", "alice", [Scope.READ], clock)
    created = clock()

    def last_used_after(seconds: float) -> float | None:
        clock.step(seconds)
        assert authenticate(db, key, clock)
        (row,) = list_keys(db)
        return row.last_used_at and (row.last_used_at - created).total_seconds()

    assert list_keys(db)[0].last_used_at is None
    assert last_used_after(5) == 5
    assert last_used_after(59) == 5
    assert last_used_after(1) == 65
    assert last_used_after(3600) == 3665


def test_a_refused_key_is_not_used(db: Database, clock: SteppingClock) -> None:
    key = create_key(db, "laptop", "alice", [Scope.READ], clock)
    assert authenticate(db, key[:-4] + "AAAA", clock) is None
    revoke_key(db, list_keys(db)[0].id, clock)
    assert authenticate(db, key, clock) is None
    assert list_keys(db)[0].last_used_at is None


def test_revoking_again_keeps_the_time(db: Database, clock: SteppingClock) -> None:
    create_key(db, "laptop", "alice", [Scope.READ], clock)
    (row,) = list_keys(db)
    assert revoke_key(db, row.id, clock)
    clock.step(60)
    assert revoke_key(db, row.id, clock)
    assert list_keys(db)[0].revoked_at == row.created_at
    assert not revoke_key(db, "0" * 16, clock)


@pytest.mark.parametrize(
    ("name", "owner", "scopes"),
    [
        ("", "alice", [Scope.READ]),
        ("a", "", [Scope.READ]),
        ("a", " ", [Scope.READ]),
        ("a", "b" * 101, [Scope.READ]),
        ("a" * 101, "b", [Scope.READ]),
        ("a", "b", []),
    ],
)
def test_a_key_needs_a_name_an_owner_and_a_scope(
    db: Database, name: str, owner: str, scopes: list[Scope]
) -> None:
    with pytest.raises(InvalidKeyError):
        create_key(db, name, owner, scopes)
    assert list_keys(db) == []


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs ``fundusmith keys ...`` on the test's database, which is new."""
    monkeypatch.setenv("FUNDUSMITH_DATABASE_URL", settings.resolved_database_url)
    get_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(main, ["keys", *arguments])
    get_settings.cache_clear()


def test_a_key_from_the_command_line_works_until_it_is_revoked(
    run: Run, settings: Settings
) -> None:
    made = run("create", "--name", "laptop", "--owner", "alice")
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    with TestClient(create_app(settings.model_copy(update={"access": Access.REQUIRED}))) as api:
        assert api.post("/datasets", json={"count": 1}, headers=bearer(key)).status_code == 202
        assert api.get("/usage", headers=bearer(key)).json()["owner"] == "alice"
        listed = run("list").stdout
        key_id = key.split("_")[1]
        assert key_id in listed and "alice" in listed and "laptop" in listed
        assert "datasets:read,datasets:write" in listed
        assert key not in listed
        assert run("revoke", key_id).exit_code == 0
        assert "revoked" in run("list").stdout
        assert api.get("/usage", headers=bearer(key)).status_code == 401


def test_owner_and_scopes_can_be_left_out_or_chosen(run: Run, settings: Settings) -> None:
    run("create", "--name", "plain")
    run("create", "--name", "chosen", "--owner", "root", "--scope", "admin")
    db = Database(settings.resolved_database_url)
    rows = {row.name: (row.owner, row.scopes) for row in list_keys(db)}
    db.close()
    assert rows == {
        "plain": ("plain", ["datasets:read", "datasets:write"]),
        "chosen": ("root", ["admin"]),
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "--name", ""),
        ("create", "--name", "x", "--scope", "everything"),
        ("create",),
        ("revoke", "0" * 16),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert "Error: " in result.output
    assert run("list").stdout == ""

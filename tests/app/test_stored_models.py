"""Models that are kept in storage: added, numbered, found by their owners."""

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from app.access.caller import ANYBODY, Caller
from app.database import Database
from app.registry.manifest import PackageFault
from app.registry.service import RegisteredModel, Registry, UnknownModelError
from app.registry.stored import VersionTakenError, add_package, next_version
from app.storage import Storage
from tests.app.packages import FILES, package_file, write_package

ALICE, BOB, ROOT = Caller("alice", False), Caller("bob", False), Caller("root", True)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """One model, eye@1.0.0, is shipped."""
    write_package(tmp_path / "packages" / "eye")
    return Registry(tmp_path / "packages")


class Adding:
    """Adds packages to the test's registry."""

    def __init__(self, db: Database, storage: Storage, registry: Registry) -> None:
        self.parts = db, storage, registry

    def __call__(self, version: str, owner: str = "", **changes: Any) -> RegisteredModel:
        return add_package(*self.parts, package_file(version=version, **changes), owner)


@pytest.fixture
def add(db: Database, storage: Storage, registry: Registry) -> Adding:
    return Adding(db, storage, registry)


def test_a_stored_model_is_as_good_as_a_shipped_one(
    add: Adding, db: Database, storage: Storage, registry: Registry
) -> None:
    model = add("1.2.0")
    with db.read() as session:
        assert [each.id for each in registry.models(session, ANYBODY)] == ["eye@1.2.0", "eye@1.0.0"]
        assert registry.find(session, ANYBODY, "eye") == registry.get(session, "eye@1.2.0")
        found = registry.find(session, ANYBODY, "eye@1.2.0")
        assert registry.default(session, ANYBODY) == found
    assert (found.digest, found.id) == (model.digest, model.id)
    assert sha256(found.read(storage, "package.json")).hexdigest() == found.digest
    assert found.read(storage, "CARD.md") == FILES["CARD.md"]


def test_a_version_stands_for_one_content(add: Adding, storage: Storage) -> None:
    first = add("1.2.0")
    assert add("1.2.0").digest == first.digest  # sent again
    for changes in ({"title": "Another"}, {"owner": "alice"}):
        with pytest.raises(VersionTakenError, match=r"another eye@1\.2\.0"):
            add("1.2.0", **changes)
    with pytest.raises(VersionTakenError, match="the service's own"):
        add("1.0.0")
    assert storage.list() == [first.key]


def test_of_two_at_once_one_gets_the_version(add: Adding, storage: Storage, db: Database) -> None:
    def attempt(number: int) -> str | None:
        try:
            return add("1.2.0", title=f"Model {number}").digest
        except VersionTakenError:
            return None

    with ThreadPoolExecutor(4) as threads:
        digests = [digest for digest in threads.map(attempt, range(4)) if digest]
    assert len(digests) == 1
    assert storage.list() == [f"models/eye/1.2.0/{digests[0]}.zip"]


def test_a_bad_package_leaves_nothing(
    add: Adding, db: Database, storage: Storage, registry: Registry
) -> None:
    with pytest.raises(PackageFault, match=r"package\.json: licence: Input should be"):
        add("1.2.0", licence=None)
    assert storage.list() == []
    with db.read() as session:
        assert [each.id for each in registry.models(session, ANYBODY)] == ["eye@1.0.0"]


def test_the_next_version(add: Adding, db: Database, registry: Registry) -> None:
    def following(name: str) -> str:
        with db.read() as session:
            return next_version(session, registry, name)

    assert (following("new"), following("eye")) == ("1.0.0", "1.0.1")
    add("1.9.0", owner="alice")
    add("1.10.2", owner="bob")
    assert following("eye") == "1.10.3"
    add("1.11.999999")  # has no next one
    assert following("eye") == "1.10.3"


def test_models_are_their_owners(add: Adding, db: Database, registry: Registry) -> None:
    add("1.2.0", owner="alice")
    with db.read() as session:
        assert registry.find(session, ALICE, "eye").id == "eye@1.2.0"
        assert registry.find(session, BOB, "eye").id == "eye@1.0.0"
        with pytest.raises(UnknownModelError, match=r"there are: eye@1\.0\.0\."):
            registry.find(session, BOB, "eye@1.2.0")
        assert len(registry.models(session, BOB)) == 1
        assert len(registry.models(session, ROOT)) == 2

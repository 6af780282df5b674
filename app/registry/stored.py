"""Models that are kept in storage: adding, numbering, deleting them, and removing their bytes."""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.clock import Clock, utc_now
from app.database import Database
from app.registry.package_zip import unpack, write_zip
from app.registry.service import RegisteredModel, Registry, release_of, stored
from app.registry.tables import StoredModel
from app.storage import Storage

FIRST_VERSION = "1.0.0"


class VersionTakenError(Exception):
    """Another package has, or had, this name and version; the message says which."""


def add_package(
    db: Database,
    storage: Storage,
    registry: Registry,
    zip_file: IO[bytes],
    owner: str,
    clock: Clock = utc_now,
) -> RegisteredModel:
    """Check a package, given as a seekable zip file, keep it in storage, and list it as its owner's.

    The very package that the owner has already, or that is shipped, is answered as it is there.

    Raises:
        PackageFault: it is not to be used; the fault names file and field.
        VersionTakenError: its version is, or was, another package's, or another owner's.
    """
    with TemporaryDirectory(prefix="fundusmith-") as folder:
        manifest, data = unpack(zip_file, Path(folder))
        model = RegisteredModel(manifest, hashlib.sha256(data).hexdigest(), owner=owner)
        if present := _present(db, registry, model):
            return present
        with storage.write(model.key) as file:
            size = write_zip(Path(folder), file)
    try:
        with db.write() as session:
            session.add(
                StoredModel(
                    name=manifest.name,
                    version=manifest.version,
                    digest=model.digest,
                    owner=owner,
                    package=data.decode(),
                    bytes=size,
                    created_at=clock(),
                )
            )
    except IntegrityError:  # another one was faster
        try:
            return _present(db, registry, model) or model
        except VersionTakenError:
            _discard(db, storage, model)
            raise
    return model


def next_version(session: Session, registry: Registry, name: str) -> str:
    """The version for a new package of this name: the highest that any has had, its last part plus
    one.

    Of two that ask at once only one can be added; the other's is then taken.
    """
    taken = list(session.scalars(select(StoredModel.version).where(StoredModel.name == name)))
    taken += [model.manifest.version for model in registry.shipped() if model.manifest.name == name]
    if not taken:
        return FIRST_VERSION
    major, minor, patch = max(map(release_of, taken))
    return f"{major}.{minor}.{patch + 1}"


def _present(db: Database, registry: Registry, model: RegisteredModel) -> RegisteredModel | None:
    """This very package, if it is there already.

    Raises:
        VersionTakenError: another one has its version.
    """
    for shipped in registry.shipped():
        if shipped.id == model.id:
            if shipped.digest == model.digest:
                return shipped
            raise VersionTakenError(f"{model.id} is a model of the service's own.")
    with db.read() as session:
        row = session.get(StoredModel, (model.manifest.name, model.manifest.version))
    if row is None:
        return None
    if row.deleted_at is not None:
        raise VersionTakenError(f"{model.id} has been deleted, and is not used again.")
    if (row.digest, row.owner) != (model.digest, model.owner):
        raise VersionTakenError(f"There is another {model.id} already.")
    return stored(row)


def _discard(db: Database, storage: Storage, model: RegisteredModel) -> None:
    """Remove the zip of a model that was not listed, unless it is that of another owner's."""
    with db.read() as session:
        same = StoredModel.digest == model.digest
        if not session.scalar(select(exists().where(same, StoredModel.deleted_at.is_(None)))):
            storage.delete(model.key)

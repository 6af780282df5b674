"""Models that are kept in storage: adding, numbering, deleting them, and removing their bytes."""

import hashlib
import logging
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.clock import Clock, utc_now
from app.database import Database
from app.jobs.tables import ENDED, Job, JobStatus
from app.registry.manifest import MANIFEST, PackageFault
from app.registry.package_zip import unpack, write_zip
from app.registry.service import RegisteredModel, Registry, release_of, stored
from app.registry.tables import StoredModel
from app.storage import Storage, StorageKeyError

FIRST_VERSION = "1.0.0"
LARGEST_PART = 999_999  # of a version
LATE_ORDERS = timedelta(minutes=1)  # may still come to be stored after the model was deleted

logger = logging.getLogger(__name__)


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
    rows = session.scalars(select(StoredModel.version).where(StoredModel.name == name))
    taken = {release_of(version) for version in rows}
    taken |= {model.release for model in registry.shipped() if model.manifest.name == name}
    for major, minor, patch in sorted(taken, reverse=True):
        following = (major, minor, patch + 1)
        if patch < LARGEST_PART and following not in taken:
            return ".".join(map(str, following))
    return FIRST_VERSION


def zip_key(storage: Storage, model: RegisteredModel) -> str:
    """Where the model's zip is stored; that of a shipped one is put there when it is first wanted."""
    if model.folder is not None:
        try:
            storage.size(model.key)
        except StorageKeyError:
            with storage.write(model.key) as file:
                write_zip(model.folder, file)
    return model.key


def keep_shipped(
    db: Database, storage: Storage, model: RegisteredModel, clock: Clock = utc_now
) -> None:
    """Keep a shipped model in storage from its first order on, if it is one.

    So its orders can be finished, and ordered again, when the service no longer ships this version,
    and workers of the version before can make what they were not shipped with.
    """
    if model.folder is None:
        return
    with db.read() as session:
        row = session.get(StoredModel, (model.manifest.name, model.manifest.version))
    if row is not None and (row.shipped or row.digest != model.digest or row.deleted_at):
        return
    try:
        size = storage.size(zip_key(storage, model))
    except (
        PackageFault,
        OSError,
    ) as error:  # no reason to refuse an order; the next one tries again
        logger.warning("%s could not be kept in storage: %s", model.id, error)
        return
    kept = StoredModel(
        name=model.manifest.name,
        version=model.manifest.version,
        digest=model.digest,
        owner="",
        shipped=True,
        package=(model.folder / MANIFEST).read_bytes().decode(),
        bytes=size,
        created_at=clock(),
    )
    with suppress(IntegrityError), db.write() as session:  # another one was faster
        session.merge(kept)


def delete_model(db: Database, model: RegisteredModel, clock: Clock = utc_now) -> bool:
    """Delete a stored model: it is gone for its users now, its zip once nothing needs it any more.

    Returns False, and changes nothing, while it is in use.
    """
    with db.write() as session:
        place = (model.manifest.name, model.manifest.version)
        row = session.get_one(StoredModel, place, with_for_update=True)
        if row.deleted_at is None:
            if session.scalar(select(_is_used(row.digest))):
                return False
            row.deleted_at = clock()
        return True


def purge_models(db: Database, storage: Storage, clock: Clock = utc_now) -> int:
    """Remove the zips of deleted models that nothing needs any more; returns how many they were."""
    deleted = StoredModel.deleted_at < clock() - LATE_ORDERS
    waiting = select(StoredModel).where(
        deleted, StoredModel.purged_at.is_(None), ~_is_used(StoredModel.digest)
    )
    with db.read() as session:
        rows = session.scalars(waiting).all()
    for row in rows:
        storage.delete(stored(row).key)
        with db.write() as session:
            session.get_one(StoredModel, (row.name, row.version)).purged_at = clock()
    return len(rows)


def _is_used(digest: str | InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Whether a job that has not ended needs the package."""
    unfinished = Job.status.in_(set(JobStatus) - ENDED)
    return exists().where(Job.package_digest == digest, unfinished)


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
    if row.shipped and row.digest == model.digest:
        return stored(row)
    if (row.digest, row.owner) != (model.digest, model.owner):
        raise VersionTakenError(f"There is another {model.id} already.")
    return stored(row)


def _discard(db: Database, storage: Storage, model: RegisteredModel) -> None:
    """Remove the zip of a model that was not listed, unless it is that of another owner's."""
    with db.read() as session:
        same = StoredModel.digest == model.digest
        if not session.scalar(select(exists().where(same, StoredModel.deleted_at.is_(None)))):
            storage.delete(model.key)

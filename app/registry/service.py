"""The registry: the models that orders can name.

Those in one folder are shipped with the service, read-only, and everyone's; they are looked at anew on
each call. The others are rows of a table and a zip each in storage: their owners' own, and those that a
version of the service before has shipped.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.registry.manifest import MANIFEST, PackageFault, read_manifest
from app.registry.package_zip import open_zip
from app.registry.schemas import PackageManifest
from app.registry.tables import DefaultModel, StoredModel
from app.storage import Storage
from app.uploads.archive import StoredFile

if TYPE_CHECKING:
    from app.access.caller import Caller  # who imports what the registry is a part of

logger = logging.getLogger(__name__)

CARD = "CARD.md"
SAMPLES = "samples.png"
SHIPPED_MODEL = "chase-256"
REFERENCE = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]{0,62})(@[0-9.]{5,20})?")


class RegistryError(Exception):
    """A model package is not usable; the message names the file and the field."""


class UnknownModelError(LookupError):
    """No such model; the message says which there are."""


@dataclass(frozen=True)
class RegisteredModel:
    """A usable package: its manifest, and the digest that names its exact contents."""

    manifest: PackageManifest
    digest: str  # SHA-256 of package.json
    folder: Path | None = None  # of one that this version ships
    owner: str = ""  # of a stored one
    shipped: bool = False  # by this version or one before; everyone's

    @property
    def id(self) -> str:
        return f"{self.manifest.name}@{self.manifest.version}"

    @property
    def release(self) -> tuple[int, ...]:
        return release_of(self.manifest.version)

    @property
    def key(self) -> str:
        """Of its zip in storage; of a shipped one's, once it has been ordered from or exported."""
        return f"models/{self.manifest.name}/{self.manifest.version}/{self.digest}.zip"

    def has(self, name: str) -> bool:
        """Whether one of the package's files has this name."""
        return name in self.manifest.files

    def read(self, storage: Storage, name: str) -> bytes:
        """One of the package's files."""
        if self.folder is not None:
            return (self.folder / name).read_bytes()
        return open_zip(StoredFile(storage, self.key)).read(name)


class Registry:
    """Finds models by ``name@version``, or by name alone: then the highest version.

    A caller finds the shipped models, and of the stored ones those that the caller may see.
    """

    def __init__(self, folder: Path, default_model: str | None = None) -> None:
        self.folder = folder
        self._default_model = default_model
        self._complaints: set[str] = set()

    def shipped(self) -> list[RegisteredModel]:
        """The usable packages of the folder; each bad one is logged once."""
        found: dict[str, RegisteredModel] = {}
        for path in sorted(self.folder.glob(f"*/{MANIFEST}")):
            try:
                model = read_package(path.parent)
                if other := found.get(model.id):
                    raise RegistryError(f"{path}: {other.folder} holds {model.id} already")
                found[model.id] = model
            except RegistryError as error:
                self._complain(str(error))
        return list(found.values())

    def models(
        self, session: Session, caller: Caller, name: str | None = None
    ) -> list[RegisteredModel]:
        """All models, or those of one name, by name, the highest version first."""
        kept = select(StoredModel).where(StoredModel.deleted_at.is_(None))
        if not caller.sees_all:
            kept = kept.where((StoredModel.owner == caller.owner) | StoredModel.shipped)
        if name is not None:
            kept = kept.where(StoredModel.name == name)
        shipped = [model for model in self.shipped() if name in (None, model.manifest.name)]
        newest: dict[str, tuple[int, ...]] = {}
        for model in shipped:
            newest[model.manifest.name] = max(newest.get(model.manifest.name, ()), model.release)
        models = {
            model.id: model
            for model in map(stored, session.scalars(kept))
            # What a newer release has shipped may need its code, too: after a step back it waits.
            if not model.shipped or model.release <= newest.get(model.manifest.name, model.release)
        }
        models |= {model.id: model for model in shipped}
        newest_first = sorted(models.values(), key=lambda model: model.release, reverse=True)
        return sorted(newest_first, key=lambda model: model.manifest.name)

    def find(self, session: Session, caller: Caller, reference: str) -> RegisteredModel:
        """The model that ``name`` or ``name@version`` means.

        Raises:
            UnknownModelError: there is none that the caller may see.
        """
        if match := REFERENCE.fullmatch(reference):
            for model in self.models(session, caller, match["name"]):
                if reference in (model.id, match["name"]):
                    return model
        known = _ids(self.models(session, caller))
        raise UnknownModelError(f"There is no model {reference!r}; there are: {known}.")

    def get(self, session: Session, model_id: str) -> RegisteredModel | None:
        """The model ``name@version``, whosever it is; also a stored one that has been deleted."""
        for model in self.shipped():
            if model.id == model_id:
                return model
        name, _, version = model_id.partition("@")
        row = session.get(StoredModel, (name, version))
        return None if row is None else stored(row)

    def resolve_model(
        self,
        session: Session,
        caller: Caller,
        reference: str | None,
        resolution: int | None = None,
    ) -> RegisteredModel:
        """The model of an order that names this one, or none.

        An order that names none gets the default model. If that does not have the resolution, in pixels,
        it gets one that does, if there is one: rather a shipped one, the first by name.

        Raises:
            UnknownModelError: there is none that the caller may see.
        """
        if reference is not None:
            return self.find(session, caller, reference)
        default = self.default(session, caller)
        if resolution is None or resolution in default.manifest.resolutions:
            return default
        models = self.models(session, caller)
        suited = [model for model in models if resolution in model.manifest.resolutions]
        return min(suited, key=lambda model: not model.shipped, default=default)

    def default(self, session: Session, caller: Caller) -> RegisteredModel:
        """The model of orders that name none: the one that the caller has chosen, else the
        setting's, chase-256, or the only one.

        Raises:
            UnknownModelError: there is none, or several and no way to choose.
        """
        models = self.models(session, caller)
        chosen = session.get(DefaultModel, caller.owner)
        for model in models:
            if chosen and model.id == chosen.model:  # it may have been deleted since
                return model
        if self._default_model:
            return self.find(session, caller, self._default_model)
        for model in models:
            if model.manifest.name == SHIPPED_MODEL:
                return model
        if len({model.manifest.name for model in models}) == 1:
            return models[0]
        raise UnknownModelError(f"There is no default model, name one of: {_ids(models)}.")

    def _complain(self, message: str) -> None:
        if message not in self._complaints:
            self._complaints.add(message)
            logger.warning("A model package is left out: %s", message)


def stored(row: StoredModel) -> RegisteredModel:
    """The model of a row."""
    manifest = PackageManifest.model_validate_json(row.package)
    return RegisteredModel(manifest, row.digest, owner=row.owner, shipped=row.shipped)


def release_of(version: str) -> tuple[int, ...]:
    """The version as numbers, to compare."""
    return tuple(int(part) for part in version.split("."))


def _ids(models: list[RegisteredModel]) -> str:
    return ", ".join(model.id for model in models) or "none"


def read_package(folder: Path) -> RegisteredModel:
    """Read a package's manifest and check that its files are there, at their length.

    (Their digests are checked by the worker, before it loads them.)

    Raises:
        RegistryError: something is missing or wrong; the message names it.
    """
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
        manifest = read_manifest(data, PackageManifest)
    except OSError as error:
        raise RegistryError(f"{path}: cannot be read ({error.strerror})") from None
    except PackageFault as fault:
        raise RegistryError(f"{folder}/{fault}") from None
    for name, expected in manifest.files.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise RegistryError(f"{path}: files: {name!r} lies outside the package")
        if not file.is_file():
            raise RegistryError(f"{file}: is missing")
        if (size := file.stat().st_size) != expected.bytes:
            raise RegistryError(f"{file}: has {size} bytes, not {expected.bytes}")
    return RegisteredModel(manifest, hashlib.sha256(data).hexdigest(), folder=folder, shipped=True)

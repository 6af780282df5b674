"""The package that an order names, by its digest, and its networks, kept from item to item."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from sqlalchemy import select

from app.database import Database
from app.registry.manifest import PackageFault
from app.registry.package_zip import unpack
from app.registry.service import stored
from app.registry.tables import StoredModel
from app.settings import Settings
from app.storage import Storage, StorageKeyError
from app.uploads.archive import StoredFile
from models.loading import Package, Sampler, load_any_package, sampler_of
from models.package import MANIFEST, PackageError
from worker.metrics import MODEL_LOAD_SECONDS, MODEL_LOADS

KEPT = 8  # packages from storage, those that were used last
ABANDONED = 24 * 3600  # seconds after which a folder that was never finished is removed


class ModelUnavailable(Exception):
    """The package that the order was made with cannot be used here; ``code`` says why.

    ``final``: trying again, perhaps elsewhere, would not help.
    """

    def __init__(self, code: str, detail: str, final: bool = False) -> None:
        super().__init__(detail)
        self.code = code
        self.final = final


class Packages:
    """Finds packages by their digests: in the folder of the shipped ones, or else in storage.

    Those of storage are unpacked, and checked again, into a folder of the data folder. The workers of
    a machine share it: a package appears there whole.

    ``model`` is always the name@version that the order gives, for the message of ModelUnavailable,
    which has the code ``model_missing``, ``model_damaged``, or ``model_changed`` where that version is
    shipped with another digest.
    """

    def __init__(self, settings: Settings, db: Database, storage: Storage) -> None:
        self._shipped = settings.models_dir
        self._unpacked = settings.data_dir / "models"
        self._db = db
        self._storage = storage

    def manifest(self, model: str, digest: str) -> dict[str, Any]:
        """The parsed package.json. Raises ModelUnavailable."""
        folder = self._shipped_folder(digest)
        if folder is not None:
            return json.loads((folder / MANIFEST).read_bytes())
        return json.loads(self._row(model, digest).package)

    def folder(self, model: str, digest: str) -> Path:
        """The folder that holds the package. Raises ModelUnavailable."""
        folder = self._shipped_folder(digest)
        if folder is not None:
            return folder
        folder = self._unpacked / digest
        fetched = not folder.is_dir()
        if fetched:
            self._fetch(self._row(model, digest), folder)
        now = time.time_ns()  # without it the time is that of the kernel's last tick
        os.utime(folder, ns=(now, now))
        if fetched:
            self._remove_others()
        return folder

    def forget(self, digest: str) -> None:
        """Remove what was unpacked of the package, so that it is fetched again."""
        folder = self._unpacked / digest
        if folder.is_dir():
            _remove(folder)

    def _shipped_folder(self, digest: str) -> Path | None:
        for path in self._shipped.glob(f"*/{MANIFEST}"):
            if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
                return path.parent
        return None

    def _row(self, model: str, digest: str) -> StoredModel:
        """Of the model in storage; also of a deleted one, which unfinished orders may still need."""
        with self._db.read() as session:
            row = session.scalar(select(StoredModel).where(StoredModel.digest == digest))
        if row is not None:
            return row
        for path in self._shipped.glob(f"*/{MANIFEST}"):
            if _model(path.read_bytes()) == model:
                raise ModelUnavailable(
                    "model_changed",
                    f"The package {model} in {path.parent.name} is not the one that was ordered: its "
                    f"digest is no longer {digest[:12]}. Order anew, or put the old package back.",
                )
        raise _missing(model)

    def _fetch(self, row: StoredModel, folder: Path) -> None:
        model = stored(row)
        self._unpacked.mkdir(parents=True, exist_ok=True)
        partial = Path(mkdtemp(prefix=".", dir=self._unpacked))
        try:
            _, data = unpack(StoredFile(self._storage, model.key), partial)
            if hashlib.sha256(data).hexdigest() != row.digest:
                raise PackageFault("wrong_digest", "is not the one that was stored", MANIFEST)
            partial.rename(folder)
        except StorageKeyError:
            raise _missing(model.id) from None
        except PackageFault as fault:
            raise _damaged(model.id, str(fault)) from fault
        except OSError:
            if not folder.is_dir():  # otherwise another worker was faster
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _remove_others(self) -> None:
        folders = sorted(self._unpacked.iterdir(), key=_last_used, reverse=True)
        for folder in [each for each in folders if not each.name.startswith(".")][KEPT:]:
            _remove(folder)
        for folder in folders:
            if folder.name.startswith(".") and time.time() - _last_used(folder) > ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Removes the folder at once for those who look for it, then its files."""
    hidden = Path(mkdtemp(prefix=".", dir=folder.parent))
    try:
        folder.rename(hidden / folder.name)
    except FileNotFoundError:
        pass  # another worker has removed it
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _last_used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0  # another worker has removed it


def _model(package: bytes) -> str | None:
    try:
        fields = json.loads(package)
        return f"{fields['name']}@{fields['version']}"
    except (ValueError, TypeError, KeyError):
        return None


def _missing(model: str) -> ModelUnavailable:
    return ModelUnavailable(
        "model_missing", f"The worker has no package {model}. Order a model that is offered."
    )


def _damaged(model: str, fault: str) -> ModelUnavailable:
    detail = f"The package {model} is damaged: {fault}. Put a whole copy in its place."
    return ModelUnavailable("model_damaged", detail)


class SamplerCache:
    """Holds the sampler last used: networks are large, and orders of one model come together."""

    def __init__(self, packages: Packages, device: str) -> None:
        self._packages = packages
        self._device = device
        self._held: tuple[str, int] | None = None  # digest and resolution
        self._sampler: Sampler | None = None

    def get(self, model: str, digest: str, resolution: int) -> Sampler:
        """The sampler of this package for pairs of this resolution, in pixels.

        Raises:
            ModelUnavailable: the package is damaged or not there, or does not have the resolution.
        """
        if self._sampler is None or self._held != (digest, resolution):
            started = time.monotonic()
            self._sampler = None  # frees its memory before the next one takes its own
            package = self._load(model, digest)
            if resolution not in package.resolutions:
                sizes = ", ".join(map(str, package.resolutions))
                detail = f"The model {model} makes pairs of {sizes} px, not of {resolution}."
                raise ModelUnavailable("resolution_missing", detail, final=True)
            try:
                self._sampler = sampler_of(package, self._device, resolution)
            except ValueError as error:
                raise ModelUnavailable(
                    "device_missing", f"The worker cannot use its device: {error}."
                ) from error
            self._held = digest, resolution
            MODEL_LOADS.inc()
            MODEL_LOAD_SECONDS.inc(time.monotonic() - started)
        return self._sampler

    def _load(self, model: str, digest: str) -> Package:
        try:
            return load_any_package(self._packages.folder(model, digest))
        except PackageError:
            # What was unpacked may be damaged, or another worker has just removed it.
            self._packages.forget(digest)
        folder = self._packages.folder(model, digest)
        try:
            return load_any_package(folder)
        except PackageError as error:
            # Users see this: it names the file, but not where on the worker it lies.
            raise _damaged(model, str(error).replace(f"{folder}/", "")) from error

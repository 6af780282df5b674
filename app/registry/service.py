"""The registry: the model packages in one folder, looked at anew on each call."""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from app.registry.schemas import PackageManifest

logger = logging.getLogger(__name__)

MANIFEST = "package.json"
CARD = "CARD.md"
SAMPLES = "samples.png"
SHIPPED_MODEL = "chase-256"


class RegistryError(Exception):
    """A model package is not usable; the message names the file and the field."""


class UnknownModelError(LookupError):
    """No such model; the message says which there are."""


@dataclass(frozen=True)
class RegisteredModel:
    """A usable package: its folder, its manifest, and the digest that names its exact contents."""

    folder: Path
    manifest: PackageManifest
    digest: str  # SHA-256 of package.json

    @property
    def id(self) -> str:
        return f"{self.manifest.name}@{self.manifest.version}"

    @property
    def release(self) -> tuple[int, ...]:
        """The version as numbers, to compare."""
        return tuple(int(part) for part in self.manifest.version.split("."))

    def file(self, name: str) -> Path | None:
        """One of the package's files, if it has it."""
        return self.folder / name if name in self.manifest.files else None


class Registry:
    """Finds models by ``name@version``, or by name alone: then the highest version."""

    def __init__(self, folder: Path, default_model: str | None = None) -> None:
        self.folder = folder
        self._default_model = default_model
        self._complaints: set[str] = set()

    def models(self) -> list[RegisteredModel]:
        """All usable models by name, the highest version first; each bad package is logged once."""
        found: dict[str, RegisteredModel] = {}
        for path in sorted(self.folder.glob(f"*/{MANIFEST}")):
            try:
                model = read_package(path.parent)
                if other := found.get(model.id):
                    raise RegistryError(f"{path}: {other.folder} holds {model.id} already")
                found[model.id] = model
            except RegistryError as error:
                self._complain(str(error))
        newest_first = sorted(found.values(), key=lambda model: model.release, reverse=True)
        return sorted(newest_first, key=lambda model: model.manifest.name)

    def find(self, reference: str) -> RegisteredModel:
        """The model that ``name`` or ``name@version`` means.

        Raises:
            UnknownModelError: there is none.
        """
        models = self.models()
        for model in models:
            if reference in (model.id, model.manifest.name):
                return model
        known = ", ".join(model.id for model in models) or "none"
        raise UnknownModelError(f"There is no model {reference!r}; there are: {known}.")

    def default(self) -> RegisteredModel:
        """The model of orders that name none: the setting's, chase-256, or the only one.

        Raises:
            UnknownModelError: there is none, or several and no way to choose.
        """
        if self._default_model:
            return self.find(self._default_model)
        models = self.models()
        names = {model.manifest.name for model in models}
        if SHIPPED_MODEL in names:
            return self.find(SHIPPED_MODEL)
        if len(names) == 1:
            return models[0]
        known = ", ".join(model.id for model in models) or "none"
        raise UnknownModelError(f"There is no default model, name one of: {known}.")

    def _complain(self, message: str) -> None:
        if message not in self._complaints:
            self._complaints.add(message)
            logger.warning("A model package is left out: %s", message)


def read_package(folder: Path) -> RegisteredModel:
    """Read a package's manifest and check that its files are there, at their length.

    (Their digests are checked by the worker, before it loads them.)

    Raises:
        RegistryError: something is missing or wrong; the message names it.
    """
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
        manifest = PackageManifest.model_validate(json.loads(data))
    except OSError as error:
        raise RegistryError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        faults = (
            f"{'.'.join(str(part) for part in fault['loc']) or 'the document'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise RegistryError(f"{path}: {'; '.join(faults)}") from None
    except ValueError as error:
        raise RegistryError(f"{path}: is not JSON ({error})") from None
    for name, expected in manifest.files.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise RegistryError(f"{path}: files: {name!r} lies outside the package")
        if not file.is_file():
            raise RegistryError(f"{file}: is missing")
        if (size := file.stat().st_size) != expected.bytes:
            raise RegistryError(f"{file}: has {size} bytes, not {expected.bytes}")
    return RegisteredModel(folder, manifest, hashlib.sha256(data).hexdigest())

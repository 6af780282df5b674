"""The package that an order names, by its digest, and its networks, kept from item to item."""

import hashlib
import json
from pathlib import Path
from typing import Any

from models.package import PackageError, load_package
from models.sampling import PairSampler

PACKAGE_FILE = "package.json"


class ModelUnavailable(Exception):
    """The package that the order was made with cannot be used here; ``code`` says why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def find_package(models_dir: Path, model: str, digest: str) -> tuple[Path, dict[str, Any]]:
    """The folder and the parsed package.json of the package with this digest.

    ``model`` is the name@version that the order gives, for the message. Raises ModelUnavailable:
    ``model_changed`` where that version is there with another digest, else ``model_missing``.
    """
    changed = None
    for path in sorted(models_dir.glob(f"*/{PACKAGE_FILE}")):
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == digest:
            return path.parent, json.loads(data)
        if _model(data) == model:
            changed = path.parent
    if changed:
        raise ModelUnavailable(
            "model_changed",
            f"The package {model} in {changed.name} is not the one that was ordered: its digest "
            f"is no longer {digest[:12]}. Order anew, or put the old package back.",
        )
    raise ModelUnavailable(
        "model_missing", f"The worker has no package {model}. Order a model that is offered."
    )


def _model(package: bytes) -> str | None:
    try:
        fields = json.loads(package)
        return f"{fields['name']}@{fields['version']}"
    except (ValueError, TypeError, KeyError):
        return None


class SamplerCache:
    """Holds the sampler last used: networks are large, and orders of one model come together."""

    def __init__(self, models_dir: Path, device: str) -> None:
        self._models_dir = models_dir
        self._device = device
        self._digest: str | None = None
        self._sampler: PairSampler | None = None

    def get(self, model: str, digest: str) -> PairSampler:
        """The sampler of this package. Raises ModelUnavailable, also for a damaged package."""
        if self._sampler is None or self._digest != digest:
            self._sampler = None  # frees its memory before the next one takes its own
            folder, _ = find_package(self._models_dir, model, digest)
            self._sampler = self._load(folder, model)
            self._digest = digest
        return self._sampler

    def _load(self, folder: Path, model: str) -> PairSampler:
        try:
            return PairSampler(load_package(folder), self._device)
        except PackageError as error:
            # Users see this: it names the file, but not where on the worker it lies.
            fault = str(error).replace(f"{folder}/", "")
            raise ModelUnavailable(
                "model_damaged",
                f"The package {model} is damaged: {fault}. Put a whole copy in its place.",
            ) from error
        except ValueError as error:
            raise ModelUnavailable(
                "device_missing",
                f"The worker cannot use its device: {error}. FUNDUSMITH_DEVICE names it.",
            ) from error

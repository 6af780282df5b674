"""The model package: a folder that holds all an order needs of a model, checked before use.

``package.json`` names the networks with their full configuration, how to sample them, the training
data with licence and attribution, metrics, and the digest of every file. Weights are safetensors; no
pickle is ever read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.segmenter import Segmenter, SegmenterConfig
from models.texture import Texture
from models.translator import Translator, TranslatorConfig
from models.vessel_gan import VesselConfig, VesselGenerator

FORMAT = "fundusmith-model/1"
MANIFEST = "package.json"
VESSEL_WEIGHTS, TRANSLATOR_WEIGHTS = "vessel.safetensors", "translator.safetensors"
TRACER_WEIGHTS = "tracer.safetensors"
STYLE_MEAN, STYLE_FACTOR = "style.mean", "style.factor"
TEXTURE_COVARIANCES, TEXTURE_PATCHINESS = "texture.covariances", "texture.patchiness"
FILES = {"vessel": VESSEL_WEIGHTS, "translator": TRANSLATOR_WEIGHTS, "tracer": TRACER_WEIGHTS}
LESION_CHANNELS = frozenset({"dark_lesions", "bright_lesions"})  # of a map
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
VERSION = re.compile(r"\d+\.\d+\.\d+")
Network = TypeVar("Network", bound=nn.Module)
Eye = Literal["left", "right"]


class PackageError(ValueError):
    """A package that must not be used; the message names the file and the field."""


@dataclass(frozen=True)
class SamplingConfig:
    """How pairs are drawn from the networks.

    batch_size: the fixed batch the networks run at. threshold: share of a pixel, in (0, 1), from which
    a drawn map counts as vessel. smallest_piece: connected pieces of fewer pixels are dropped.
    longest_bridge: pixels over which a vessel that breaks off is joined to the next piece; 0 joins none.
    field_mean and field_deviation: centre x, y and radius of the field of view, as shares of the side.
    field_half_height: of every field of view, rows farther from its centre are cut off; 1 cuts nothing.
    eye: the one that stage one draws, before the sampler mirrors some; None if that is not known.
    tracing_threshold: probability, in (0, 1), from which the tracer counts a pixel as vessel; None where
    labels are the drawn maps as they are. tracing_margin: pixels from the edge of the field of view within
    which they are so all the same. most_loops: small loops (:func:`models.metrics.small_loops`) above
    which a drawn map is drawn again; None takes every map.
    """

    batch_size: int
    threshold: float
    smallest_piece: int
    field_mean: tuple[float, float, float]
    field_deviation: tuple[float, float, float]
    eye: Eye | None = None
    longest_bridge: float = 0.0
    field_half_height: float = 1.0
    tracing_threshold: float | None = None
    tracing_margin: int = 0
    most_loops: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= 1024:
            raise ValueError("batch_size must lie within 1 and 1024")
        if not 0 < self.threshold < 1:
            raise ValueError("threshold must lie between 0 and 1")
        if self.tracing_threshold is not None and not 0 < self.tracing_threshold < 1:
            raise ValueError("tracing_threshold must lie between 0 and 1")
        if not 0 <= self.tracing_margin <= 64:
            raise ValueError("tracing_margin must lie within 0 and 64")
        if self.smallest_piece < 0:
            raise ValueError("smallest_piece must not be negative")
        if self.most_loops is not None and self.most_loops < 0:
            raise ValueError("most_loops must not be negative")
        if not 0 <= self.longest_bridge <= 64:
            raise ValueError("longest_bridge must lie within 0 and 64")
        if not 0 < self.field_half_height <= 1:
            raise ValueError("field_half_height must be above 0 and at most 1")
        if self.eye not in (None, *get_args(Eye)):
            raise ValueError('eye must be "left" or "right", or be left out')
        for name in ("field_mean", "field_deviation"):
            values = tuple(float(v) for v in getattr(self, name))
            if len(values) != 3 or min(values) < 0 or max(values) > 1:
                raise ValueError(f"{name} must be three shares of the side, each within 0 and 1")
            object.__setattr__(self, name, values)
        if self.field_mean[2] - 2 * self.field_deviation[2] <= 0:
            raise ValueError("field_mean and field_deviation must leave a radius above zero")


class ModelPackage:
    """A checked package. Networks are built on demand; ``digest`` identifies the whole content."""

    def __init__(
        self, manifest: Mapping[str, Any], digest: str, tensors: Mapping[str, dict[str, Tensor]]
    ):
        networks = manifest["networks"]
        self.manifest, self.digest = manifest, digest
        self.name, self.version = manifest["name"], manifest["version"]
        self.vessel_config = VesselConfig(**networks["vessel"]["config"])
        self.translator_config = TranslatorConfig(**networks["translator"]["config"])
        self.sampling = SamplingConfig(**manifest["sampling"])
        self.resolution = self.vessel_config.resolution
        self.resolutions: tuple[int, ...] = (self.resolution,)
        self.channels: tuple[str, ...] = ("vessels",)
        self._tensors = tensors

    @property
    def draws_lesions(self) -> bool:
        """Whether its maps have a channel of lesions."""
        return not LESION_CHANNELS.isdisjoint(self.channels)

    def check_resolution(self, resolution: int | None) -> int:
        """The resolution, in pixels, or the smallest if None is given.

        Raises:
            ValueError: if the package does not have it; names those that it has.
        """
        return check_resolution(self.resolutions, resolution)

    def vessel_generator(self) -> VesselGenerator:
        """A new stage-one network with the package's weights."""
        return _filled(VesselGenerator(self.vessel_config), self._tensors["vessel"], VESSEL_WEIGHTS)

    def translator(self) -> Translator:
        """A new stage-two network with the package's weights."""
        statistics = ("style.", "texture.")
        weights = {
            k: v for k, v in self._tensors["translator"].items() if not k.startswith(statistics)
        }
        return _filled(Translator(self.translator_config), weights, TRANSLATOR_WEIGHTS)

    def tracer(self) -> Segmenter | None:
        """A new network that traces the vessels of photographs; None in packages without one."""
        if "tracer" not in self._tensors:
            return None
        config = SegmenterConfig(**self.manifest["networks"]["tracer"]["config"])
        return _filled(Segmenter(config), self._tensors["tracer"], TRACER_WEIGHTS)

    def style_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean [S] and Cholesky factor [S, S] of the Gaussian that style codes are drawn from."""
        weights, size = self._tensors["translator"], self.translator_config.style
        for key, shape in ((STYLE_MEAN, (size,)), (STYLE_FACTOR, (size, size))):
            if key not in weights or tuple(weights[key].shape) != shape:
                raise PackageError(f"{TRANSLATOR_WEIGHTS}: tensor {key} must have shape {shape}")
        return weights[STYLE_MEAN], weights[STYLE_FACTOR]

    def texture(self) -> Texture | None:
        """What is added to photographs; None in packages from before it was."""
        weights = self._tensors["translator"]
        if TEXTURE_COVARIANCES not in weights:
            return None
        try:
            patchiness = float(weights[TEXTURE_PATCHINESS])
            return Texture(weights[TEXTURE_COVARIANCES].float(), patchiness)
        except (KeyError, RuntimeError, ValueError) as error:
            raise PackageError(f"{TRANSLATOR_WEIGHTS}: {error}") from error


def check_resolution(resolutions: tuple[int, ...], wanted: int | None) -> int:
    """One of a package's resolutions, in pixels, or the smallest if None is given.

    Raises:
        ValueError: if the package does not have it; names those that it has.
    """
    if wanted is None:
        return min(resolutions)
    if wanted not in resolutions:
        sizes = ", ".join(map(str, resolutions))
        raise ValueError(f"the package makes pairs of {sizes} px, not of {wanted}")
    return wanted


def _filled(network: Network, weights: Mapping[str, Tensor], file: str) -> Network:
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise PackageError(f"{file}: weights do not fit the configuration ({error})") from error
    return network


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path, package_format: str) -> tuple[dict[str, Any], bytes]:
    """``package.json`` of a package of this format, parsed and as it is; its files are whole and unchanged.

    Raises:
        PackageError: naming the file and what is wrong with it.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
        manifest = json.loads(content)
    except (OSError, ValueError) as error:
        raise PackageError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != package_format:
        raise PackageError(f'{path}: field "format" must be "{package_format}"')
    check_files(folder, manifest.get("files"))
    return manifest, content


def load_package(folder: Path) -> ModelPackage:
    """Read a package and check digests, configuration and shapes.

    Raises:
        PackageError: naming the file and what is wrong with it.
    """
    manifest_path = folder / MANIFEST
    manifest, content = read_manifest(folder, FORMAT)
    tensors = {}
    for network, name in FILES.items():
        if name not in manifest["files"]:
            continue  # the tracer's: packages from before there was one have none
        try:
            tensors[network] = load_file(folder / name)
        except (OSError, SafetensorError) as error:
            raise PackageError(f"{folder / name}: not a safetensors file ({error})") from error
    try:
        package = ModelPackage(manifest, hashlib.sha256(content).hexdigest(), tensors)
    except KeyError as error:
        raise PackageError(f"{manifest_path}: field {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise PackageError(f"{manifest_path}: {error}") from error
    if manifest.get("resolutions") != [package.resolution]:
        raise PackageError(
            f'{manifest_path}: field "resolutions" must be [{package.resolution}], the networks\' own'
        )
    package.vessel_generator(), package.translator(), package.style_statistics(), package.texture()
    try:
        tracer = package.tracer()
    except (KeyError, TypeError, ValueError) as error:
        raise PackageError(f"{manifest_path}: networks.tracer: {error}") from error
    if (tracer is None) != (package.sampling.tracing_threshold is None):
        raise PackageError(
            f'{manifest_path}: {TRACER_WEIGHTS} and the field "sampling.tracing_threshold" need each other'
        )
    return package


def check_files(folder: Path, files: object) -> None:
    """Check that each file listed is there, whole and unchanged, and that the weights are listed.

    Raises:
        PackageError: naming the first file that is not.
    """
    if not isinstance(files, dict) or not {VESSEL_WEIGHTS, TRANSLATOR_WEIGHTS} <= files.keys():
        raise PackageError(f'{folder / MANIFEST}: field "files" must list both weights files')
    for name, facts in files.items():
        path = folder / name
        if Path(name).name != name:
            raise PackageError(
                f"{folder / MANIFEST}: file name {name!r} must not have folders in it"
            )
        if not path.is_file():
            raise PackageError(f"{path}: missing")
        if path.stat().st_size != facts.get("bytes"):
            raise PackageError(
                f"{path}: {path.stat().st_size} bytes, listed with {facts.get('bytes')}"
            )
        if sha256_of(path) != facts.get("sha256"):
            raise PackageError(f"{path}: its SHA-256 is not the one listed: damaged or replaced")


def write_package(
    folder: Path,
    facts: Mapping[str, Any],
    vessel: VesselGenerator,
    translator: Translator,
    style: tuple[Tensor, Tensor],
    sampling: SamplingConfig,
    texture: Texture | None = None,
    tracer: Segmenter | None = None,
) -> None:
    """Write weights and ``package.json``; every other file already in the folder is listed as well.

    ``facts`` gives name, version, title, created, licence, training_data, expected and metrics.

    Raises:
        PackageError: if name or version is not of the form that orders use.
    """
    if not NAME.fullmatch(facts["name"]):
        raise PackageError(f"name {facts['name']!r}: use lower-case letters, digits and hyphens")
    if not VERSION.fullmatch(facts["version"]):
        raise PackageError(f"version {facts['version']!r}: use three numbers, as in 1.0.0")
    folder.mkdir(parents=True, exist_ok=True)

    def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """In half precision: networks compute in single, and ten bits of a weight are enough."""
        return {key: value.detach().cpu().half().contiguous() for key, value in tensors.items()}

    save_file(halved(vessel.state_dict()), folder / VESSEL_WEIGHTS)
    statistics = {STYLE_MEAN: style[0], STYLE_FACTOR: style[1].contiguous()}
    styled = halved(translator.state_dict()) | statistics
    if texture is not None:
        styled[TEXTURE_COVARIANCES] = texture.covariances.bfloat16()  # far below one
        styled[TEXTURE_PATCHINESS] = torch.tensor(texture.patchiness)
    save_file(styled, folder / TRANSLATOR_WEIGHTS)
    networks = {
        "vessel": {"class": "VesselGenerator", "config": asdict(vessel.config)},
        "translator": {"class": "Translator", "config": asdict(translator.config)},
    }
    if tracer is not None:
        save_file(halved(tracer.state_dict()), folder / TRACER_WEIGHTS)
        networks["tracer"] = {"class": "Segmenter", "config": asdict(tracer.config)}
    for network in networks:
        (folder / FILES[network]).chmod(0o644)  # safetensors writes for the owner alone
    listed = sorted(p for p in folder.iterdir() if p.is_file() and p.name != MANIFEST)
    manifest = {
        "format": FORMAT,
        **facts,
        "resolutions": [vessel.config.resolution],
        "networks": networks,
        # What is at its default is left out: releases from before a setting go on loading the rest.
        "sampling": {
            f.name: value
            for f in fields(sampling)
            if (value := getattr(sampling, f.name)) != f.default
        },
        "files": {p.name: {"sha256": sha256_of(p), "bytes": p.stat().st_size} for p in listed},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def write_tiny_package(folder: Path, resolution: int = 64, *, traced: bool = False) -> Path:
    """An untrained package of some 100 KB that draws a pair in milliseconds, for tests; labels are traced
    or as they are drawn."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    vessel = VesselGenerator(VesselConfig((8,) * (resolution.bit_length() - 2), latent=8))
    translator = Translator(TranslatorConfig((4, 8), blocks=1, style=4))
    tracer = Segmenter(SegmenterConfig()) if traced else None
    last = len(vessel.config.channels) - 1
    vessel.state_dict()[f"to_map.{last}.bias"].sub_(1.0)  # mostly background, as in a real map
    torch.set_rng_state(state)
    facts = {
        "name": f"tiny-{resolution}",
        "version": "0.0.1",
        "title": "Untrained networks for tests",
        "created": "2026-11-23",
        "licence": "CC0-1.0",
        "training_data": {
            "name": "none",
            "licence": "CC0-1.0",
            "attribution": "none",
            "url": "",
            "images": [],
        },
        "expected": {
            "seconds_per_pair": 0.01,
            "bytes_per_pair": 10_000,
            "machine": "two CPU cores",
        },
        "metrics": {},
    }
    field = (0.5, 0.5, 0.46), (0.002, 0.004, 0.005)
    threshold = 0.5 if traced else None
    sampling = SamplingConfig(4, 0.5, 2, *field, eye="right", tracing_threshold=threshold)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "CARD.md").write_text("# tiny\n\nUntrained, for tests.\n")
    style = torch.zeros(4), torch.eye(4)
    write_package(folder, facts, vessel, translator, style, sampling, tracer=tracer)
    return folder

"""The package of a model whose label is its map: networks, styles and fields of view, checked before use.

``package.json`` names the networks with their full configuration, the cameras that photographs are drawn as,
the training data with licences and attributions, metrics, and the digest of every file. Weights are
safetensors; no pickle is ever read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import torch
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.data.photographs import CHANNELS
from models.networks.map_denoiser import DenoiserConfig, MapDenoiser
from models.networks.translator import Translator, TranslatorConfig
from models.networks.upsamplers import Enhancer, MapUpsampler, UpsamplerConfig
from models.package import (
    MANIFEST,
    NAME,
    VERSION,
    PackageError,
    check_resolution,
    read_manifest,
    sha256_of,
)
from models.styles import StyleDensity

FORMAT = "fundusmith-model/2"
SUFFIX = ".safetensors"
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Camera:
    """A data set's way of taking photographs.

    weight: how often photographs are drawn as of this one. half_heights: of fields of view that are cut above
    and below, as fractions of the side, one chosen for each photograph; 1 is a whole circle. Its density of
    styles is in the translator's file.
    """

    name: str
    weight: float = Field(gt=0)
    half_heights: tuple[float, ...] = Field(min_length=1)


@dataclass(frozen=True)
class GeneratorSampling:
    """How pairs are drawn from the networks.

    batch_size: the fixed batch the networks run at. thresholds: by resolution, the fraction of a pixel from
    which a drawn map counts as vessel. radius: of the field of view, as a fraction of the side. eye: the one
    that stage one draws, before some are mirrored.
    """

    batch_size: int = Field(ge=1, le=1024)
    thresholds: dict[int, Annotated[float, Field(gt=0, lt=1)]] = Field(min_length=1)
    radius: float = Field(gt=0, le=0.5)
    cameras: tuple[Camera, ...] = Field(min_length=1)
    eye: Literal["left", "right"] = "left"


class GeneratorPackage:
    """A checked package. Networks are built on demand; ``digest`` identifies the whole content."""

    def __init__(
        self, manifest: Mapping[str, Any], digest: str, tensors: Mapping[str, dict[str, Tensor]]
    ):
        networks = manifest["networks"]
        self.manifest, self.digest = manifest, digest
        self.name, self.version = manifest["name"], manifest["version"]
        self.denoiser_config = DenoiserConfig(**networks["vessel"]["config"])
        self.resolutions = tuple(manifest["resolutions"])
        self.resolution = min(self.resolutions)
        self.upsampler_configs = _configs(networks, "vessel")
        self.enhancer_configs = _configs(networks, "translator")
        self.translator_config = TranslatorConfig(**networks["translator"]["config"])
        self.sampling = TypeAdapter(GeneratorSampling).validate_python(manifest["sampling"])
        self.channels = CHANNELS[: self.denoiser_config.maps]
        self._tensors = tensors

    def check_resolution(self, resolution: int | None) -> int:
        """The resolution, in pixels, or the smallest if None is given.

        Raises:
            ValueError: if the package does not have it; names those that it has.
        """
        return check_resolution(self.resolutions, resolution)

    def map_denoiser(self) -> MapDenoiser:
        """A new network that draws coarse maps, with the package's weights."""
        return self._filled(MapDenoiser(self.denoiser_config), "vessel")

    def map_upsamplers(self) -> dict[int, MapUpsampler]:
        """New networks that double maps, by the side in pixels that each doubles to, in order."""
        return {
            size: self._filled(MapUpsampler(config), f"vessel_{size}")
            for size, config in self.upsampler_configs.items()
        }

    def translator(self) -> Translator:
        """A new stage-two network with the package's weights."""
        return self._filled(Translator(self.translator_config), "translator")

    def enhancers(self) -> dict[int, Enhancer]:
        """New networks that double photographs, by the side in pixels that each doubles to, in order."""
        return {
            size: self._filled(Enhancer(config), f"translator_{size}")
            for size, config in self.enhancer_configs.items()
        }

    def style_densities(self) -> list[StyleDensity]:
        """Of each camera, in their order."""
        weights, size = self._tensors["translator"], self.translator_config.style
        found = []
        for i in range(len(self.sampling.cameras)):
            parts = [weights.get(f"style.{i}.{part}") for part in ("weights", "means", "factors")]
            count = 0 if parts[0] is None else len(parts[0])
            shapes = [(count,), (count, size), (count, size, size)]
            for part, shape in zip(parts, shapes, strict=True):
                if part is None or not count or tuple(part.shape) != shape:
                    raise PackageError(
                        f"translator{SUFFIX}: tensors style.{i}.* must have shapes [K], [K, {size}] and "
                        f"[K, {size}, {size}]"
                    )
            found.append(StyleDensity(*parts))  # type: ignore[arg-type]
        return found

    def _filled(self, network: Network, name: str) -> Network:
        weights = {k: v for k, v in self._tensors[name].items() if not k.startswith("style.")}
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise PackageError(
                f"{name}{SUFFIX}: weights do not fit the configuration ({error})"
            ) from error
        return network


def load_generator_package(folder: Path) -> GeneratorPackage:
    """Read a package and check digests, configuration and shapes.

    Raises:
        PackageError: naming the file and what is wrong with it.
    """
    manifest_path = folder / MANIFEST
    manifest, content = read_manifest(folder, FORMAT)
    tensors = {}
    try:
        for name in manifest["networks"]:
            tensors[name] = {k: v.float() for k, v in load_file(folder / f"{name}{SUFFIX}").items()}
        package = GeneratorPackage(manifest, hashlib.sha256(content).hexdigest(), tensors)
    except KeyError as error:
        raise PackageError(f"{manifest_path}: field {error} is missing") from error
    except (OSError, SafetensorError) as error:
        raise PackageError(f"{folder / name}{SUFFIX}: not a safetensors file ({error})") from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise PackageError(f"{manifest_path}: {place}: {fault['msg']}") from error
    except TypeError as error:
        raise PackageError(f"{manifest_path}: {error}") from error
    _check_sizes(manifest_path, package)
    package.map_denoiser(), package.map_upsamplers()
    package.translator(), package.enhancers()
    package.style_densities()
    return package


def write_generator_package(
    folder: Path,
    facts: Mapping[str, Any],
    networks: Mapping[str, nn.Module],
    styles: Sequence[StyleDensity],
    sampling: GeneratorSampling,
) -> None:
    """Write weights and ``package.json``; every other file already in the folder is listed as well.

    Args:
        facts: name, version, title, created, licence, training_data, expected and metrics.
        networks: ``vessel`` draws coarse maps, ``vessel_N`` doubles maps to N pixels, ``translator`` renders
            photographs of the smallest resolution, and ``translator_N`` doubles photographs to N pixels.
        styles: the density of each of ``sampling.cameras``.

    Raises:
        PackageError: if name or version is not of the form that orders use.
    """
    if not NAME.fullmatch(facts["name"]):
        raise PackageError(f"name {facts['name']!r}: use lower-case letters, digits and hyphens")
    if not VERSION.fullmatch(facts["version"]):
        raise PackageError(f"version {facts['version']!r}: use three numbers, as in 1.0.0")
    folder.mkdir(parents=True, exist_ok=True)
    described = {}
    for name, network in networks.items():
        # Ten bits of a weight are enough; what a style is drawn from stays exact.
        tensors = {k: v.detach().cpu().half().contiguous() for k, v in network.state_dict().items()}
        if name == "translator":
            for i, density in enumerate(styles):
                for part, values in asdict(density).items():
                    tensors[f"style.{i}.{part}"] = values.contiguous()
        path = folder / f"{name}{SUFFIX}"
        save_file(tensors, path)
        path.chmod(0o644)  # safetensors writes for the owner alone
        described[name] = {"class": type(network).__name__, "config": asdict(network.config)}  # type: ignore[call-overload]
    listed = sorted(p for p in folder.iterdir() if p.is_file() and p.name != MANIFEST)
    manifest = {
        "format": FORMAT,
        **facts,
        "resolutions": list(sampling.thresholds),
        "channels": list(CHANNELS[: networks["vessel"].config.maps]),  # type: ignore[index, union-attr]
        "networks": described,
        "sampling": asdict(sampling),
        "files": {p.name: {"sha256": sha256_of(p), "bytes": p.stat().st_size} for p in listed},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def _configs(networks: Mapping[str, Any], stage: str) -> dict[int, UpsamplerConfig]:
    """Of the doublings of a stage, by the side in pixels that each doubles to, in order."""
    sizes = sorted(
        int(name.removeprefix(f"{stage}_")) for name in networks if name.startswith(f"{stage}_")
    )
    return {size: UpsamplerConfig(**networks[f"{stage}_{size}"]["config"]) for size in sizes}


def _check_sizes(path: Path, package: GeneratorPackage) -> None:
    """Check that doublings lead from the coarse maps to each resolution."""
    smallest, largest = min(package.resolutions), max(package.resolutions)

    def doubled(size: int, end: int) -> list[int]:
        return [size * 2, *doubled(size * 2, end)] if size < end else []

    finer = doubled(smallest, largest)
    if list(package.resolutions) != [smallest, *finer]:
        raise PackageError(f'{path}: field "resolutions" must be sizes that double, in order')
    for stage, found, wanted in (
        ("vessel", package.upsampler_configs, doubled(package.denoiser_config.size, largest)),
        ("translator", package.enhancer_configs, finer),
    ):
        if list(found) != wanted:
            raise PackageError(
                f"{path}: networks.{stage}_N: doublings to {list(found)}, the resolutions need {wanted}"
            )
    if set(package.sampling.thresholds) != set(package.resolutions):
        raise PackageError(f"{path}: sampling.thresholds must have each of the resolutions")


def write_tiny_generator_package(folder: Path) -> Path:
    """An untrained package that draws pairs of 64 and 128 px in milliseconds, for tests."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    upsampler = UpsamplerConfig(maps=2, style=2, channels=(4, 8))
    networks: dict[str, nn.Module] = {
        "vessel": MapDenoiser(DenoiserConfig(size=16, steps=2, channels=(8, 8))),
        "vessel_32": MapUpsampler(upsampler),
        "vessel_64": MapUpsampler(upsampler),
        "vessel_128": MapUpsampler(UpsamplerConfig(maps=4, style=2, channels=(4, 8))),
        "translator": Translator(TranslatorConfig(style=4, channels=(4, 8))),
        "translator_128": Enhancer(UpsamplerConfig(style=4, channels=(4, 8))),
    }
    torch.set_rng_state(state)
    data = {"name": "none", "licence": "CC0-1.0", "attribution": "none", "url": "", "images": []}
    facts = {
        "name": "tiny-generator",
        "version": "0.0.1",
        "title": "Untrained networks for tests",
        "created": "2026-12-01",
        "licence": "CC0-1.0",
        "training_data": data,
        "expected": {
            "seconds_per_pair": 0.01,
            "bytes_per_pair": 10_000,
            "machine": "two CPU cores",
        },
        "metrics": {},
    }
    cameras = (Camera("round", 1.0, (1.0,)), Camera("cut", 1.0, (0.4, 0.42)))
    sampling = GeneratorSampling(4, {64: 0.4, 128: 0.4}, 0.49, cameras, "left")
    density = StyleDensity(torch.ones(1), torch.zeros(1, 4), torch.eye(4)[None])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "CARD.md").write_text("# tiny\n\nUntrained, for tests.\n")
    write_generator_package(folder, facts, networks, [density, density], sampling)
    return folder

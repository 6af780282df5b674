"""A package of either format, and what draws its pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models import generator_package
from models.generator_package import GeneratorPackage, load_generator_package
from models.package import MANIFEST, ModelPackage, load_package
from models.pair_generator import PairGenerator
from models.sampling import Pair, PairSampler, SamplingOptions

Package = ModelPackage | GeneratorPackage


class Sampler(Protocol):
    """What draws pairs: see :class:`models.pair_generator.PairGenerator`. Its maps are its own."""

    package: Any
    resolution: int
    batch_size: int

    @property
    def traces(self) -> bool: ...

    @property
    def environment(self) -> dict[str, str]: ...

    def sample(self, seeds: Sequence[int], options: SamplingOptions = ...) -> list[Pair]: ...

    def draw_maps(self, seeds: Sequence[int], options: SamplingOptions = ...) -> list[Any]: ...

    def render(self, maps: Sequence[Any]) -> list[Pair]: ...

    def place_map(
        self,
        seed: int,
        label: NDArray[np.uint8],
        field: NDArray[np.uint8] | None,
        options: SamplingOptions = ...,
    ) -> Any: ...

    def place_shares(
        self,
        seed: int,
        shares: NDArray[np.floating[Any]],
        field: NDArray[np.bool_],
        options: SamplingOptions = ...,
    ) -> Any: ...


def load_any_package(folder: Path) -> Package:
    """Read a package and check it.

    Raises:
        PackageError: naming the file and what is wrong with it.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        manifest = None  # the reader of the older format says what is wrong
    if isinstance(manifest, dict) and manifest.get("format") == generator_package.FORMAT:
        return load_generator_package(folder)
    return load_package(folder)


def sampler_of(package: Package, device: str = "auto", resolution: int | None = None) -> Sampler:
    """What draws the package's pairs at one of its resolutions, the smallest if None is given.

    Raises:
        ValueError: if the device is not there; if the package does not have the resolution.
    """
    if isinstance(package, GeneratorPackage):
        return PairGenerator(package, device, resolution)
    return PairSampler(package, device, resolution)

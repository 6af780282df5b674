"""Starting from the networks of a model package instead of from noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from models.package import ModelPackage
from models.translator import Translator
from models.vessel_gan import VesselConfig, VesselGenerator


class TransferError(ValueError):
    """A package that a run cannot start from; the message says which settings would fit it."""


@dataclass(frozen=True)
class Origin:
    """The package that a run has started from; ``model`` is name@version."""

    model: str
    digest: str

    @classmethod
    def of(cls, package: ModelPackage) -> Origin:
        return cls(f"{package.name}@{package.version}", package.digest)


def first_enlargement(reached: int, drawn: int, resolution: int) -> int:
    """The first size that is left to learn, where a package draws ``drawn`` pixels a side, enlarges them
    up to ``reached``, and ``resolution`` is asked for.

    Raises:
        TransferError: if the package does not draw as many, or none are left to learn.
    """
    if reached < drawn:
        raise TransferError(
            f"enlarging alone wants a package that draws {drawn} px, this one has {reached}: train both stages"
        )
    if reached >= resolution:
        raise TransferError(
            f"the package has {reached} px already: ask for a larger resolution, or train without "
            "enlarging alone"
        )
    return 2 * reached


def whole(reached: int, resolution: int) -> int:
    """The resolution, of which a package must reach all to be traced.

    Raises:
        TransferError: if it does not.
    """
    if reached != resolution:
        raise TransferError(
            f"tracing alone wants a package that draws {resolution} px, this one has {reached}"
        )
    return resolution


def shared_resolution(run: VesselConfig, package: VesselConfig) -> int:
    """The largest resolution up to which both have the same feature maps.

    Raises:
        TransferError: if they have not even those of 4 pixels in common.
    """
    levels = 0
    for ours, theirs in zip(run.channels, package.channels, strict=False):
        if ours != theirs:
            break
        levels += 1
    if levels == 0 or run.latent != package.latent:
        raise TransferError(
            f"the package's vessel network has {package.channels[0]} feature maps at 4 px and a latent "
            f"of {package.latent}, this run's {run.channels[0]} and {run.latent}: set vessel.width "
            "and vessel.latent as the package has them"
        )
    return run.resolutions[levels - 1]


def take_over_vessel(generator: VesselGenerator, package: VesselGenerator, up_to: int) -> None:
    """Copy the dense layer, every level up to a resolution, and the refiner and the enlargers if it is the
    largest that is drawn; the others stay as they are."""
    level = generator.config.level(up_to)
    pairs: list[tuple[nn.Module, nn.Module]] = [(generator.dense, package.dense)]
    pairs += zip(generator.levels[:level], package.levels[:level], strict=True)
    pairs += zip(generator.to_map[: level + 1], package.to_map[: level + 1], strict=True)
    if up_to == generator.config.drawn == package.config.drawn:
        pairs += zip(generator.enlargers, package.enlargers, strict=False)
        if generator.refiner and package.refiner:
            pairs.append((generator.refiner, package.refiner))
    for ours, theirs in pairs:
        ours.load_state_dict(theirs.state_dict())


def take_over_translator(translators: Sequence[Translator], package: Translator) -> None:
    """Copy every weight that both have.

    What only the run has begins anew: planes of noise without a say, enlargers as if untaught.

    Raises:
        TransferError: if the networks are of another shape.
    """
    theirs, weights = package.config, package.state_dict()
    for translator in translators:
        ours = translator.config
        alike = replace(
            theirs,
            noise=ours.noise,
            enlargements=ours.enlargements,
            shares=ours.shares,
            anchored=ours.anchored,
        )
        if alike != ours or ours.noise < theirs.noise:
            raise TransferError(
                f"the package's translator is {theirs}, this run's {ours}: set photo.width, "
                "photo.blocks, photo.style and photo.noise as the package has them"
            )
        with torch.no_grad():
            for name, parameter in translator.named_parameters():
                if name in weights:
                    # A layer that is told noise has more inputs than one that is not.
                    parameter.zero_()
                    parameter[tuple(slice(side) for side in weights[name].shape)] = weights[name]

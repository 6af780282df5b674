"""The end of a run that cannot come to any good."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import nn


class Diverged(RuntimeError):
    """Training has failed: the message says what happened, after how many images, and what to do.

    The checkpoint is from before: none is written of what has diverged.
    """

    def __init__(self, stage: str, images: int, what: str, remedy: str):
        super().__init__(
            f"stage {stage} diverged after {images} images: {what}. The last checkpoint is from "
            f"before; go on from it, or start anew, with {remedy}."
        )
        self.stage, self.images = stage, images


def refuse_values(stage: str, images: int, values: Mapping[str, float]) -> None:
    """Raise :class:`Diverged` if a loss is not a finite number."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise Diverged(stage, images, f"{name} is {value}", "a lower learning_rate")


def refuse_weights(stage: str, images: int, networks: Mapping[str, nn.Module]) -> None:
    """Raise :class:`Diverged` if a weight is not a finite number."""
    for name, network in networks.items():
        for key, value in network.state_dict().items():
            if not value.isfinite().all():
                what = f"{name}.{key} has weights that are not finite"
                raise Diverged(stage, images, what, "a lower learning_rate")

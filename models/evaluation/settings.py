"""What an evaluation is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Arm(StrEnum):
    """What a segmenter is trained on; all have the same network, steps and test pairs."""

    REAL = "real"  # real pairs, mirrored and moved a little, as the pairs of all arms are
    AUGMENTED = "augmented"  # control: real pairs with strong classical augmentation
    SYNTHETIC = "synthetic"  # generated pairs alone
    FINE_TUNED = "fine-tuned"  # generated pairs for half of the steps, then real ones
    MIXED = "mixed"  # half of each batch generated, half real
    MIXED_AUGMENTED = "mixed-augmented"  # the same, with the classical augmentation
    RENDERED = (
        "rendered"  # control: real labels photographed by stage two, which separates the stages
    )


class Network(StrEnum):
    """What the segmenter is; see :mod:`models.segmenter`."""

    U_NET = "u-net"
    ATTENTION = "attention"  # of another shape than the tracer that may have labelled the pairs


@dataclass(frozen=True)
class EvaluationSettings:
    """pairs: generated pairs that are measured and trained on. seeds: fits of each arm. steps: training
    steps of each fit. seed: of everything that is drawn. copy_overlap: F1 with a training map from
    which on a map counts as a copy. network: that is trained.

    Raises:
        ValueError: naming the field that is out of bounds.
    """

    pairs: int = 200
    seeds: int = 3
    steps: int = 400
    seed: int = 0
    copy_overlap: float = 0.9
    network: Network = Network.U_NET

    def __post_init__(self) -> None:
        bounds = {
            "pairs": (16, 10_000),
            "seeds": (1, 20),
            "steps": (10, 100_000),
            "copy_overlap": (0.5, 1.0),
        }
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}: must lie within {least} and {most}")

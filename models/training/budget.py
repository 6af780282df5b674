"""How long to train: minutes or images, spent over any number of sittings."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

PACE_SECONDS = 30.0  # the pace is that of about so many seconds of training


@dataclass
class Budget:
    """What a stage may spend and has spent; ``progress`` drives its schedule.

    A budget in images makes a run repeatable to the bit; one in minutes ends when it should. Only
    training counts: not saving, not drawing sheets, not the time between sittings.
    """

    minutes: float | None = None
    images: int | None = None
    seconds_spent: float = 0.0
    images_spent: int = 0
    images_per_second: float = field(default=0.0, init=False)  # of late, in this sitting

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.images is None):
            raise ValueError("budget: give either minutes or images")
        if not (self.minutes or self.images or 0) > 0:
            raise ValueError("budget: must be greater than zero")
        self.resume()

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, in [0, 1]."""
        if self.images is not None:
            return min(1.0, self.images_spent / self.images)
        assert self.minutes is not None
        return min(1.0, self.seconds_spent / (self.minutes * 60))

    def resume(self) -> None:
        """Start the clock of a step."""
        self._resumed = time.monotonic()

    def elapsed(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._resumed

    def spend(self, images: int, seconds: float) -> None:
        """Count one training step."""
        self.seconds_spent += seconds
        self.images_spent += images
        pace, keep = images / max(seconds, 1e-9), math.exp(-seconds / PACE_SECONDS)
        old = self.images_per_second or pace
        self.images_per_second = keep * old + (1 - keep) * pace

    @property
    def seconds_left(self) -> float:
        """Training time left; for a budget in images at the pace of late, infinite before a step."""
        if self.minutes is not None:
            return max(0.0, self.minutes * 60 - self.seconds_spent)
        assert self.images is not None
        left = max(0, self.images - self.images_spent)
        return left / self.images_per_second if self.images_per_second else math.inf

"""How long to train: minutes or images, spent over any number of sittings."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class Budget:
    """What a stage may spend and has spent; ``progress`` drives its schedule.

    A budget in images makes a run repeatable to the bit; one in minutes ends when it should.
    """

    minutes: float | None = None
    images: int | None = None
    seconds_spent: float = 0.0
    images_spent: int = 0

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.images is None):
            raise ValueError("budget: give either minutes or images")
        if (self.minutes or self.images or 0) <= 0:
            raise ValueError("budget: must be greater than zero")
        self._resumed = time.monotonic()

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, in [0, 1]."""
        if self.images is not None:
            return min(1.0, self.images_spent / self.images)
        assert self.minutes is not None
        return min(1.0, self.seconds_spent / (self.minutes * 60))

    def spend(self, images: int) -> None:
        """Count one training step."""
        now = time.monotonic()
        self.seconds_spent += now - self._resumed
        self._resumed = now
        self.images_spent += images

    def resume(self) -> None:
        """Start the clock anew: time between sittings is not spent."""
        self._resumed = time.monotonic()

    @property
    def seconds_left(self) -> float:
        """At the pace so far."""
        spent = self.progress
        return self.seconds_spent * (1 - spent) / spent if spent else float("inf")

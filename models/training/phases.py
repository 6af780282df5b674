"""What stage two learns when: photographs at the size they are drawn, each doubling of it, and to trace."""

from __future__ import annotations

from collections.abc import Sequence

ENLARGING = 0.15  # of the time that drawing gets, for each doubling
TRACING = 0.2  # of the time that drawing gets, at the end


def phase_of(progress: float, sizes: Sequence[int], drawn: int) -> tuple[int | None, float]:
    """The size of ``sizes`` that is learned at this point of the budget, None for tracing, which comes
    last, and the share of its time that is over."""
    shares = {size: 1.0 if size == drawn else ENLARGING for size in sizes}
    place = progress * (sum(shares.values()) + TRACING)
    for size, share in shares.items():
        if place < share:
            return size, place / share
        place -= share
    return None, min(1.0, place / TRACING)

"""The event streams that are open, and how often each may look at the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import ProblemError
from app.problems import UNAVAILABLE

MOST_STREAMS = 100  # of one process
SHORTEST_PAUSE = 0.5  # seconds: at most two events a second for each stream
MOST_LOOKS = 40  # a second, of all streams of a process together


class EventStreams:
    """Counts the open streams of one process. Only its event loop's thread may use it."""

    def __init__(self) -> None:
        self._open = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Counts one more for as long as the block lasts.

        Raises:
            ProblemError: as many are open as may be.
        """
        if self._open >= MOST_STREAMS:
            raise ProblemError(
                UNAVAILABLE,
                f"{MOST_STREAMS} event streams are open.",
                headers={"Retry-After": "10"},
            )
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    @property
    def pause(self) -> float:
        """Seconds from one look of a stream to its next; longer while many streams are open."""
        return max(SHORTEST_PAUSE, self._open / MOST_LOOKS)

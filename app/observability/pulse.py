"""Signs of life of a loop, which another thread or process looks for."""

import time
from multiprocessing.sharedctypes import RawValue


class Pulse:
    """Says when a loop was last seen to go round. Processes forked after it was made share it."""

    def __init__(self) -> None:
        self._seen = RawValue("d", 0.0)  # time.monotonic(), which all processes share; 0: at rest

    def beat(self) -> None:
        """The loop goes round; from now on it is expected to go on doing so."""
        self._seen.value = time.monotonic()

    def rest(self) -> None:
        """Nothing is expected of the loop until it beats again."""
        self._seen.value = 0.0

    @property
    def silence(self) -> float:
        """Seconds since the last beat; 0 at rest."""
        seen = self._seen.value
        return time.monotonic() - seen if seen else 0.0

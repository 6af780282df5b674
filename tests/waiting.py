"""Waiting for something to become true, with a deadline in place of a guess."""

import time
from collections.abc import Callable


def wait_until(true: Callable[[], object], seconds: float = 90) -> None:
    """Polls ``true`` until it is. Raises AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it did not happen in {seconds} s"
        time.sleep(0.02)

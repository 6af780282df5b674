"""Parts that do not answer at all."""

import threading
import time

from app.health.readiness import Check
from tests.waiting import wait_until


def test_a_part_that_hangs_is_failing_and_holds_one_thread_however_often_it_is_asked() -> None:
    answers, begun = threading.Event(), []

    def look() -> None:
        begun.append(threading.current_thread())
        answers.wait()

    check = Check("a test's part", look)
    for _ in range(3):
        check.start(fresh_seconds=0)
        assert check.state_by(time.monotonic()) == "failing"
    assert len(begun) == 1
    answers.set()
    wait_until(lambda: check.state_by(time.monotonic()) == "ready")
    check.start(fresh_seconds=3600)
    assert len(begun) == 1

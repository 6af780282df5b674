"""A child process that ends when its parent does, however the parent ended (Linux)."""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1


def terminate_with_parent() -> None:
    """Asks the kernel to send this process SIGTERM when its parent dies.

    For ``preexec_fn``. Does nothing on other systems; there a killed parent leaves its children.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

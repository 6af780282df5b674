"""For all tests."""

import os

# As the worker does, and for the same reason (see worker/__init__.py); torch is not loaded yet.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

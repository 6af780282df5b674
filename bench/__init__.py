"""The benchmark: ``python -m bench`` (``make bench``)."""

import worker  # noqa: F401  sets how torch's threads wait, before torch is loaded

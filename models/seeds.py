"""The seed of each pair of an order."""

from __future__ import annotations

import hashlib


def pair_seed(order_seed: int, index: int) -> int:
    """Seed of pair ``index``: a hash, so that orders with neighbouring seeds share no pair.

    A whole number of 63 bits, which a signed database column and a JSON reader can hold.
    """
    digest = hashlib.sha256(f"{order_seed}:{index}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1

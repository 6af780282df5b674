"""The seed of each pair of an order."""

from __future__ import annotations

import hashlib


def pair_seed(order_seed: int, index: int) -> int:
    """Seed of pair ``index``: a hash, so that orders with neighbouring seeds share no pair.

    A whole number of 63 bits, which a signed database column and a JSON reader can hold.
    """
    return _hash(f"{order_seed}:{index}")


def candidate_seed(order_seed: int, index: int, candidate: int) -> int:
    """Seed of a candidate for pair ``index``, from 0; the first is the pair of an order that takes
    any."""
    if candidate == 0:
        return pair_seed(order_seed, index)
    return _hash(f"{order_seed}:{index}:{candidate}")


def redrawn_seed(seed: int, candidate: int) -> int:
    """Seed of what stage one draws the map of the pair with this seed from, the ``candidate``-th time,
    from 1."""
    return _hash(f"map:{seed}:{candidate}")


def texture_seed(seed: int) -> int:
    """Seed of the texture of the pair that has this seed."""
    return _hash(f"texture:{seed}")


def noise_seed(seed: int) -> int:
    """Seed of the noise that stage two renders the pair with this seed from."""
    return _hash(f"noise:{seed}")


def doubling_seed(seed: int, size: int) -> int:
    """Seed of what the pair that has this seed gains where its map is doubled to ``size`` pixels."""
    return _hash(f"map:{seed}:{size}")


def photograph_seed(seed: int, size: int) -> int:
    """Seed of the noise that the photograph of this seed is drawn from at ``size`` pixels."""
    return _hash(f"photograph:{seed}:{size}")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1

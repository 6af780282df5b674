"""Which pictures an order asks for: its pairs, drawn in batches."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.sampling import Pair, PairSampler, Wish, pair_seed


def draw_pairs(
    sampler: PairSampler, order: Mapping[str, Any], indices: range
) -> Iterator[list[tuple[int, Pair]]]:
    """The order's pairs of these indices, a batch at a time."""
    wish = Wish(style_seed=order.get("style_seed"), eye=order.get("eye"))
    for first in range(indices.start, indices.stop, sampler.batch_size):
        batch = range(first, min(first + sampler.batch_size, indices.stop))
        pairs = sampler.sample([pair_seed(order["seed"], index) for index in batch], wish)
        yield list(zip(batch, pairs, strict=True))

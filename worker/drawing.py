"""Which pictures an order asks for: its pairs, drawn in batches."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.archive.knobs import limits_of
from app.archive.segment import PairRecord
from models.sampling import PairSampler, Wish
from models.selection import Chosen, Selection


def draw_pairs(
    sampler: PairSampler, order: Mapping[str, Any], indices: range
) -> Iterator[list[Chosen]]:
    """The order's pairs of these indices, some at a time; none at times, where limits are narrow.

    Raises models.selection.LimitsNotMet.
    """
    wish = Wish(style_seed=order.get("style_seed"), eye=order.get("eye"))
    return Selection(sampler, order["seed"], wish, limits_of(order)).pairs(indices)


def count_rejected(order: Mapping[str, Any], records: Iterable[PairRecord]) -> dict[str, Any]:
    """What a shard's result says of the candidates turned away: nothing without limits."""
    limits = limits_of(order)
    if not limits:
        return {}
    total: Counter[str] = Counter()
    for record in records:
        total.update(record.rejected or {})
    return {"rejected": {measure: total[measure] for measure in limits}}

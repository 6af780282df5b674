"""The pairs of an order: for each the first of its candidates that is within the order's limits.

Candidates of a pair have seeds of their own, derived from order, pair and candidate, so a pair does
not depend on its neighbours, nor on which others are drawn with it. Without limits the first
candidate is always taken.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.loading import Sampler
from models.pair_generator import DrawnMap
from models.quality import OF_MAPS, OF_PHOTOGRAPHS, Limits, judge, span
from models.sampling import Pair, SamplingOptions, VesselMap
from models.seeds import candidate_seed

# Where one candidate in fifty is good, one pair in 30,000 finds none among so many.
MOST_CANDIDATES = 512
BATCHES_AHEAD = 16  # pairs that may be begun before the next one in order is found


class LimitsNotMet(Exception):
    """No candidate of a pair is within the limits; the message says what they were like."""


@dataclass(frozen=True)
class Chosen:
    """A pair of the order. Where there are limits, quality: the values of the limited measures;
    rejected: how many candidates were turned away before it, by measure. Of a given map, map: its
    name."""

    index: int
    pair: Pair
    quality: dict[str, float] | None = None
    rejected: dict[str, int] | None = None
    map: str | None = None


@dataclass(eq=False)
class _Search:
    """The search for one pair."""

    index: int
    rejected: Counter[str] = field(default_factory=Counter)
    values: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def next(self) -> int:
        """Number of the next candidate."""
        return self.rejected.total()

    def reject(self, measure: str, value: float, limits: Limits) -> None:
        self.rejected[measure] += 1
        self.values[measure].append(value)
        if self.next == MOST_CANDIDATES:
            reasons = (
                f"{len(values)} had {name} {min(values):.3g} to {max(values):.3g} "
                f"where {span(*limits[name])} is asked for"
                for name, values in self.values.items()
            )
            raise LimitsNotMet(
                f"none of {MOST_CANDIDATES} candidates for pair {self.index} is within the limits: "
                + "; ".join(reasons)
            )


class Selection:
    """Searches the pairs of one order, some at a time. Both stages run on full batches.

    ``of_maps`` are the measures of maps that the order may limit. They hold for the label that is
    delivered: where it is traced in the photograph, maps are not looked at before.
    """

    def __init__(
        self,
        sampler: Sampler,
        order_seed: int,
        options: SamplingOptions,
        limits: Limits,
        of_maps: Mapping[str, Callable[[VesselMap | DrawnMap | Pair], float]] = OF_MAPS,
    ):
        self._sampler = sampler
        self._order_seed = order_seed
        self._options = options
        self._limits = limits
        traced = sampler.traces
        self._of_maps = {} if traced else of_maps
        self._of_pairs = {**of_maps, **OF_PHOTOGRAPHS} if traced else OF_PHOTOGRAPHS
        self._searches: list[_Search] = []  # those that have no map now
        self._maps: deque[tuple[_Search, Any, dict[str, float]]] = deque()
        self._chosen: dict[int, Chosen] = {}

    def pairs(self, indices: range) -> Iterator[list[Chosen]]:
        """The pairs of these indices, in order, a few at a time; none where more must be drawn first.

        Raises:
            LimitsNotMet: for the first pair that has no candidate within the limits.
        """
        size = self._sampler.batch_size
        due = begun = indices.start
        while due < indices.stop:
            most = min(indices.stop, due + BATCHES_AHEAD * size)
            while len(self._searches) < size and begun < most:
                self._searches.append(_Search(begun))
                begun += 1
            if self._searches and len(self._maps) < size:
                self._draw_maps()
            if len(self._maps) >= size or not self._searches:
                self._render()
            found = []
            while due in self._chosen:
                found.append(self._chosen.pop(due))
                due += 1
            yield found

    def _draw_maps(self) -> None:
        """Draw one candidate of each search, or several where there are few searches."""
        searches = self._searches[: self._sampler.batch_size]
        turns = [
            (searches[n % len(searches)], n // len(searches))
            for n in range(self._sampler.batch_size)
        ]
        seeds = [candidate_seed(self._order_seed, s.index, s.next + ahead) for s, ahead in turns]
        for (search, _), drawn in zip(
            turns, self._sampler.draw_maps(seeds, self._options), strict=True
        ):
            if search not in self._searches:
                continue  # an earlier candidate of this batch was good
            values, failed = judge(drawn, self._of_maps, self._limits)
            if failed:
                search.reject(failed, values[failed], self._limits)
            else:
                self._searches.remove(search)
                self._maps.append((search, drawn, values))

    def _render(self) -> None:
        """Photograph a batch of maps; a search whose photograph is not good goes on."""
        count = min(len(self._maps), self._sampler.batch_size)
        batch = [self._maps.popleft() for _ in range(count)]
        pairs = self._sampler.render([drawn for _, drawn, _ in batch])
        for (search, _, of_map), pair in zip(batch, pairs, strict=True):
            values, failed = judge(pair, self._of_pairs, self._limits)
            if failed:
                search.reject(failed, values[failed], self._limits)
                self._searches.append(search)
                continue
            noted = (of_map | values, dict(search.rejected)) if self._limits else ()
            self._chosen[search.index] = Chosen(search.index, pair, *noted)

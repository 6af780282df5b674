"""The pairs that an evaluation compares, as arrays of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from models.loading import Sampler
from models.pairs import PairSet
from models.sampling import Pair
from models.seeds import pair_seed
from models.translator import VESSEL_FROM

Plane = NDArray[np.uint8] | NDArray[np.bool_]
Planes = tuple[NDArray[np.uint8], Plane, Plane]


@dataclass(frozen=True)
class PairArrays:
    """Pairs of one square size S.

    photos: uint8 [N, S, S, 3], RGB. labels: vessels, bool [N, S, S]. fields: field of view, bool
    [N, S, S].
    """

    names: tuple[str, ...]
    photos: NDArray[np.uint8]
    labels: NDArray[np.bool_]
    fields: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def size(self) -> int:
        return self.photos.shape[1]

    def take(self, indices: Sequence[int]) -> Self:
        """These pairs, in this order."""
        chosen = list(indices)
        return type(self)(
            tuple(self.names[i] for i in chosen),
            self.photos[chosen],
            self.labels[chosen],
            self.fields[chosen],
        )

    def span(self, start: int, end: int) -> Self:
        """The pairs from ``start`` to before ``end``, as many as there are; not copied."""
        part = slice(start, end)
        return type(self)(self.names[part], self.photos[part], self.labels[part], self.fields[part])


@dataclass(frozen=True)
class EvaluationData:
    """All that an evaluation looks at, of one size.

    train: real pairs that the model may have learned from. test: real pairs of other people, held
    out. synthetic: drawn by the model, or by an order. rendered: photographs of the train pairs'
    labels by stage two, each label several times; None where the model is not at hand.
    """

    train: PairArrays
    test: PairArrays
    synthetic: PairArrays
    rendered: PairArrays | None


def real_pairs(pairs: PairSet, size: int) -> PairArrays:
    """Real pairs at ``size`` pixels, which the size of ``pairs`` is a multiple of.

    A pixel is vessel from the share on from which stage two takes it for one, and photographs are
    black outside the field of view, as generated ones are.
    """
    factor = pairs.vessels.shape[-1] // size

    def planes() -> Iterator[Planes]:
        shares = vessel_shares(pairs, size)
        for photo, share, field in zip(pairs.photos, shares, pairs.fields, strict=True):
            pooled = F.avg_pool2d(photo.float(), factor).round().byte()
            mask = field.draw(size)
            yield pooled.permute(1, 2, 0).numpy(), (share > VESSEL_FROM) & mask, mask

    return collect(pairs.names, planes())


def vessel_shares(pairs: PairSet, size: int) -> NDArray[np.float32]:
    """How much of each pixel is vessel, [N, S, S] within [0, 1], at ``size`` pixels, which the size of
    ``pairs`` is a multiple of."""
    factor = pairs.vessels.shape[-1] // size
    shares = np.empty((len(pairs.vessels), size, size), np.float32)
    # One by one: as floats, all of them at twice the size would take gigabytes.
    for i, vessels in enumerate(pairs.vessels):
        shares[i] = F.avg_pool2d(vessels / 255, factor)[0].numpy()
    return shares


def drawn_pairs(
    sampler: Sampler, count: int, seed: int, report: Callable[[], None] = lambda: None
) -> PairArrays:
    """The first ``count`` pairs of the order with this seed.

    ``report`` is called between batches, and may raise to stop the work.
    """

    def draw(numbers: Sequence[int]) -> list[Pair]:
        return sampler.sample([pair_seed(seed, i) for i in numbers])

    return _made(count, draw, sampler.batch_size, report)


def rendered_pairs(
    sampler: Sampler,
    shares: NDArray[np.float32],
    fields: NDArray[np.bool_],
    count: int,
    seed: int,
    report: Callable[[], None] = lambda: None,
) -> PairArrays:
    """``count`` photographs of real maps in turn, each in a style of its own.

    shares, fields: of the maps, [N, S, S], at the sampler's size. Labels alone would not do: which pixels
    are vessel says less than stage two was taught with, and whole pixels of a larger size are fatter.

    ``report`` is called between batches, and may raise to stop the work.

    Raises:
        ValueError: if the size is not the sampler's.
    """
    if shares.shape[1] != sampler.resolution:
        raise ValueError(f"maps of {shares.shape[1]} px, the model has {sampler.resolution}")

    def render(numbers: Sequence[int]) -> list[Pair]:
        return sampler.render(
            [
                sampler.place_shares(
                    pair_seed(seed, i), shares[i % len(shares)], fields[i % len(fields)]
                )
                for i in numbers
            ]
        )

    return _made(count, render, sampler.batch_size, report)


def collect(names: Sequence[str], planes: Iterable[Planes]) -> PairArrays:
    """The pairs of these names, of which photograph, label and mask come in turn: uint8 [S, S, 3], and
    twice [S, S], of which what is not 0 is vessel and field of view. Photographs are made black outside it:
    JPEG is not quite.

    Raises:
        ValueError: if there are none; naming the pair, if it is not of the first one's size.
    """
    # Each into its place: a list to be stacked takes as much memory again, gigabytes at 1024 px.
    pairs: PairArrays | None = None
    for i, (photo, label, mask) in enumerate(planes):
        if pairs is None:
            shape = (len(names), *mask.shape)
            pairs = PairArrays(
                tuple(names),
                np.empty((*shape, 3), np.uint8),
                np.empty(shape, np.bool_),
                np.empty(shape, np.bool_),
            )
        if {photo.shape[:2], label.shape, mask.shape} != {shape[1:]}:
            raise ValueError(
                f"pair {names[i]}: photograph, label and mask are of {photo.shape[:2]}, {label.shape} and "
                f"{mask.shape} pixels; all pairs must have the size of the first mask, {shape[1:]}"
            )
        np.not_equal(label, 0, out=pairs.labels[i])
        np.not_equal(mask, 0, out=pairs.fields[i])
        np.multiply(photo, pairs.fields[i, ..., None], out=pairs.photos[i])
    if pairs is None:
        raise ValueError("there are no pairs")
    return pairs


def _made(
    count: int,
    make: Callable[[Sequence[int]], list[Pair]],
    batch_size: int,
    report: Callable[[], None],
) -> PairArrays:
    """The pairs of the numbers from 0 on, which ``make`` makes a batch of."""

    def planes() -> Iterator[Planes]:
        for start in range(0, count, batch_size):
            for pair in make(range(start, min(start + batch_size, count))):
                yield pair.image, pair.label, pair.mask
            report()

    return collect([f"{i:06d}" for i in range(count)], planes())

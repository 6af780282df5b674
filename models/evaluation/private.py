"""Has the model kept the pictures it learned from: copies, and whether it draws nearer to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.evaluation.neighbours import Moves, Neighbour, Views, compare, nearest
from models.metrics import summary

Similarities = NDArray[np.float32]
DRAWS = 1000
# Coarse similarity below which two pictures of a set are not looked at closely for duplicates. The
# coarse similarity of a turned, mirrored and shifted copy is above 0.95.
SUSPECT = 0.75


@dataclass(frozen=True)
class Nearness:
    """What was found of one kind of picture: values for the report, and each synthetic picture's
    nearest training picture."""

    values: dict[str, Any]
    neighbours: list[Neighbour]


def nearness(
    synthetic: Views,
    train: Views,
    test: Views,
    train_names: tuple[str, ...],
    copy_from: float,
    seed: int,
    report: Callable[[float], None],
) -> Nearness:
    """Nearest training and hold-out pictures of all synthetic ones; ``copy_from`` on, one is a copy."""
    to_train = compare(synthetic, train, lambda share: report(0.05 * share))
    to_test = compare(synthetic, test)
    real = _joined(train, test)
    among_real = compare(real, real)
    np.fill_diagonal(among_real.similarity, -np.inf)
    neighbours, held_out = [], []
    for i in range(len(synthetic)):
        neighbours.append(nearest(synthetic, i, train, to_train))
        held_out.append(nearest(synthetic, i, test, to_test))
        report(0.05 + 0.6 * i / len(synthetic))
    own = compare(synthetic, synthetic, lambda share: report(0.65 + 0.25 * share))
    np.fill_diagonal(own.similarity, -np.inf)
    real_scores = [nearest(real, i, real, among_real).score for i in range(len(real))]
    scores = [neighbour.score for neighbour in neighbours]
    values = {
        "copy_from": copy_from,
        "nearest_training": summary(scores),
        "nearest_hold_out": summary([neighbour.score for neighbour in held_out]),
        "real_among_themselves": summary(real_scores),
        "largest": {"generated": round(max(scores), 4), "real": round(max(real_scores), 4)},
        "each": [
            [round(a.score, 3), round(b.score, 3)]
            for a, b in zip(neighbours, held_out, strict=True)
        ],
        "nearer_to_training": shares_nearer(
            np.hstack([to_train.similarity, to_test.similarity]),
            among_real.similarity,
            len(train),
            seed,
        ),
        "copies": [
            {"index": i, "of": train_names[each.index], "score": round(each.score, 4)}
            for i, each in enumerate(neighbours)
            if each.score >= copy_from
        ],
        "duplicates": duplicates(synthetic, own, copy_from),
    }
    return Nearness(values, neighbours)


def shares_nearer(
    synthetic: Similarities, real: Similarities, train: int, seed: int
) -> dict[str, Any]:
    """Share of pictures that are nearer to a training than to a hold-out picture.

    synthetic: similarity with all real pictures [M, T + H], the ``train`` = T training ones first. real:
    of the real ones with each other, the diagonal lowest.

    Most has the nearest neighbour in the larger set: in each of DRAWS draws as many training pictures
    are taken as there are hold-out ones. ``generated``: mean over draws. ``hold_out_left_out`` and
    ``training_left_out``: the same share for each real picture against the other real ones; about a half
    if the sets are alike, but a person's other eye is in the same set. ``all_training``: without
    equal numbers. ``by_chance``: the shares with the T + H real pictures dealt out to the two sets
    at random, mean and middle 90 %; a model that kept its training pictures lies above.
    """
    random = np.random.default_rng(seed)
    total = real.shape[0]
    held_out = np.arange(train, total)
    few = min(train, len(held_out))
    draws, chance, chance_all = [], [], []
    for _ in range(DRAWS):
        ours = random.choice(train, few, replace=False)
        theirs = random.choice(held_out, few, replace=False)
        draws.append(_share(synthetic, ours, theirs))
        dealt = random.permutation(total)
        chance.append(_share(synthetic, dealt[:few], dealt[-few:]))
        chance_all.append(_share(synthetic, dealt[:train], dealt[train:]))
    everything = _share(synthetic, np.arange(train), held_out)
    equal = float(np.mean(draws))
    return {
        "equal_numbers": few,
        "generated": round(equal, 4),
        "deviation_of_draws": round(float(np.std(draws)), 4),
        "hold_out_left_out": _left_out(real, held_out, train, random),
        "training_left_out": _left_out(real, np.arange(train), train, random),
        "by_chance": _span(chance),
        "all_training": round(everything, 4),
        "all_training_by_chance": _span(chance_all),
        "draws": DRAWS,
        "beyond_chance": bool(everything > np.quantile(chance_all, 0.95)),
    }


def duplicates(views: Views, moves: Moves, copy_from: float) -> list[dict[str, Any]]:
    """Pairs of pictures of one set that are copies of each other; ``moves`` of the set with itself."""
    found = []
    for i in np.flatnonzero(moves.similarity.max(axis=1) >= SUSPECT):
        neighbour = nearest(views, int(i), views, moves)
        j = neighbour.index
        if neighbour.score >= copy_from:
            found.append((min(int(i), j), max(int(i), j), round(neighbour.score, 4)))
    best = {(i, j): score for i, j, score in found}
    return [{"index": i, "of": j, "score": score} for (i, j), score in sorted(best.items())]


def _share(similarity: Similarities, ours: NDArray[np.intp], theirs: NDArray[np.intp]) -> float:
    return float((similarity[:, ours].max(axis=1) > similarity[:, theirs].max(axis=1)).mean())


def _left_out(
    real: Similarities, left_out: NDArray[np.intp], train: int, random: np.random.Generator
) -> float:
    """The share of these real pictures that are nearer to a training picture, each left out in turn, with
    equal numbers drawn of both sets."""
    nearer = []
    for i in left_out:
        ours = np.setdiff1d(np.arange(train), [i])
        theirs = np.setdiff1d(np.arange(train, real.shape[0]), [i])
        few = min(len(ours), len(theirs))
        for _ in range(DRAWS // 10):
            a, b = (random.choice(group, few, replace=False) for group in (ours, theirs))
            nearer.append(real[i, a].max() > real[i, b].max())
    return round(float(np.mean(nearer)), 4)


def _span(shares: list[float]) -> dict[str, float]:
    low, high = np.quantile(shares, (0.05, 0.95))
    mean = float(np.mean(shares))
    return {"mean": round(mean, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def _joined(first: Views, second: Views) -> Views:
    labels = None
    if first.labels is not None and second.labels is not None:
        labels = np.concatenate([first.labels, second.labels])
    return Views(
        torch.cat([first.planes, second.planes]), torch.cat([first.centres, second.centres]), labels
    )

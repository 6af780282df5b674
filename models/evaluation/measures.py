"""The step that compares pictures: *Real* (are they like real ones) and *Private* (are they copies)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from models.evaluation.features import NETWORK, RESIZE, features
from models.evaluation.kid import kid_of_halves, kid_of_subsets
from models.evaluation.neighbours import map_views, photo_views
from models.evaluation.pair_arrays import EvaluationData, PairArrays
from models.evaluation.photo_measures import photo_measures
from models.evaluation.private import nearness
from models.evaluation.results import StepResult
from models.evaluation.settings import EvaluationSettings
from models.evaluation.sheets import map_neighbour_sheet, photo_neighbour_sheet
from models.evaluation.spread import comparisons
from models.evaluation.vessel_trees import tree_measures
from models.networks.efficientnet import LITE2, WeightsMissing, load_efficientnet

# More pairs would tell little more and take hours: of larger sets the first so many are looked at.
# Pairs are drawn independently, so the first are as good as any.
LOOKED_AT = 1000
KID_DRAWS = 200
DARKER = 2.0  # grey levels by which vessels must be darker than their rim to count as shown
# A photograph whose correlation with a training photograph is at least this is a copy of it. Turned,
# mirrored and shifted copies reach 0.99, different photographs of CHASE_DB1 0.8.
PHOTO_COPY = 0.9


def measure(
    data: EvaluationData, settings: EvaluationSettings, report: Callable[[float], None]
) -> StepResult:
    """Measure the synthetic pairs beside the real ones; ``report`` is told the share that is done, and
    may raise to stop it.

    ``values`` has ``counts``, ``real`` and ``private``; ``pictures`` sheets of the pairs that come
    nearest to training pairs.
    """
    started = time.perf_counter()
    synthetic = data.synthetic.span(0, LOOKED_AT)
    sets = (synthetic, data.train, data.test)

    def within(start: float, end: float) -> Callable[[float], None]:
        return lambda share: report(start + (end - start) * share)

    trees = _each(sets, lambda p, i: tree_measures(p.labels[i], p.fields[i]), within(0, 0.1))
    photos = _each(
        sets, lambda p, i: photo_measures(p.photos[i], p.labels[i], p.fields[i]), within(0.1, 0.3)
    )
    real = {
        "maps": comparisons(trees[0], trees[1] + trees[2], settings.seed),
        "photographs": comparisons(photos[0], photos[1] + photos[2], settings.seed),
        "label_shown": {
            name: _share_dark(rows)
            for name, rows in (("generated", photos[0]), ("real", photos[1] + photos[2]))
        },
        "kid": kid_values(synthetic, data, settings.seed),
    }
    report(0.45)
    private, pictures = {}, {}
    for name, view, sheet, copy_from, span in (
        ("maps", map_views, map_neighbour_sheet, settings.copy_overlap, (0.45, 0.75)),
        ("photographs", photo_views, photo_neighbour_sheet, PHOTO_COPY, (0.75, 1.0)),
    ):
        ours, train, test = (view(pairs) for pairs in sets)
        found = nearness(
            ours, train, test, data.train.names, copy_from, settings.seed, within(*span)
        )
        private[name] = found.values
        pictures[f"nearest-{name}.png"] = sheet(synthetic, data.train, found.neighbours)
    counts = {
        "synthetic": len(data.synthetic),
        "looked_at": len(synthetic),
        "train": len(data.train),
        "test": len(data.test),
        "rendered": len(data.rendered) if data.rendered else 0,
        "size": data.train.size,
        "seconds": round(time.perf_counter() - started, 1),
    }
    return StepResult({"counts": counts, "real": real, "private": private}, pictures)


def kid_values(synthetic: PairArrays, data: EvaluationData, seed: int) -> dict[str, Any]:
    """KID of the generated photographs and of real ones, or ``not_computed`` with the reason.

    All on subsets of one size, so that they can be compared: half the real training pairs, or all
    hold-out pairs if they are fewer.
    """
    try:
        network = load_efficientnet(LITE2)
    except WeightsMissing as error:
        return {"not_computed": str(error)}
    subset = max(2, min(len(data.train) // 2, len(data.test)))
    random = np.random.default_rng(seed)
    made, train, test = (features(network, p.photos) for p in (synthetic, data.train, data.test))
    values = {
        "network": NETWORK,
        "resize": RESIZE,
        "estimator": "unbiased MMD, kernel (x.y / 1280 + 1)^3",
        "subset": subset,
        "draws": KID_DRAWS,
        "seed": seed,
        "pictures": {"generated": len(made), "train": len(train), "test": len(test)},
        "generated_train": kid_of_subsets(made, train, subset, KID_DRAWS, random),
        "generated_test": kid_of_subsets(made, test, subset, KID_DRAWS, random),
        "train_test": kid_of_subsets(train, test, subset, KID_DRAWS, random),
        "train_halves": kid_of_halves(train, subset, KID_DRAWS, random),
    }
    if data.rendered is not None:
        rendered = features(network, data.rendered.span(0, LOOKED_AT).photos)
        values["rendered_train"] = kid_of_subsets(rendered, train, subset, KID_DRAWS, random)
    return values


def _each(
    sets: Sequence[PairArrays],
    of: Callable[[PairArrays, int], dict[str, float]],
    report: Callable[[float], None],
) -> list[list[dict[str, float]]]:
    """A row of measures for each pair of each set."""
    total, done = sum(len(pairs) for pairs in sets), 0
    tables = []
    for pairs in sets:
        rows = []
        for i in range(len(pairs)):
            rows.append(of(pairs, i))
            done += 1
            report(done / total)
        tables.append(rows)
    return tables


def _share_dark(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Share of photographs whose vessels are darker than their rim, and that for the shifted label."""
    return {
        name: round(float(np.mean([row[name] > DARKER for row in rows])), 4)
        for name in ("vessel_contrast", "shifted_contrast")
    }

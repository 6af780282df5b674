"""The report of an evaluation, from what its steps have left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from models.evaluation.results import StepResult
from models.evaluation.settings import Arm, EvaluationSettings

FORMAT = "fundusmith-evaluation/1"
SCORES = ("f1", "auc", "sensitivity", "specificity", "cl_dice")
CONVENTIONS = ("in_field", "whole_image")


def build_report(
    settings: EvaluationSettings, facts: Mapping[str, Any], results: Mapping[str, StepResult]
) -> dict[str, Any]:
    """The report as JSON holds it. ``results`` may be those of some steps only; what is lacking is null.

    useful.arms: of each arm mean and deviation over seeds of each score, in the field of view and on
    the whole image; ``ratio``: its F1 to that of real pairs alone; ``beside_real``: the difference of
    both, seed by seed. useful.found_again: see :func:`found_again`. real and private: see
    :mod:`models.evaluation.measures`.
    """
    values = [result.values for result in results.values()]
    measures = next((each for each in values if "real" in each), None)
    fits = [each for each in values if "arm" in each]
    report: dict[str, Any] = {
        "format": FORMAT,
        "facts": dict(facts),
        "settings": asdict(settings),
        "useful": useful(fits) if fits else None,
        "real": measures and {"counts": measures["counts"], **measures["real"]},
        "private": measures and measures["private"],
    }
    report["caveats"] = caveats(report)
    return report


def useful(fits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the fits of all arms and seeds say together."""
    arms: dict[str, Any] = {}
    real = [fit for fit in fits if fit["arm"] == Arm.REAL]
    for arm in Arm:
        own = sorted((fit for fit in fits if fit["arm"] == arm), key=lambda fit: fit["seed"])
        if not own:
            continue
        arms[arm.value] = {
            "seeds": [fit["seed"] for fit in own],
            **{
                convention: {
                    score: over_seeds([fit[convention][score] for fit in own]) for score in SCORES
                }
                for convention in CONVENTIONS
            },
            "each_f1": [fit["in_field"]["f1"] for fit in own],
            "thresholds": [fit["threshold"] for fit in own],
            "seconds": round(sum(fit["seconds"] for fit in own), 1),
            "ratio": _ratio(own, real),
            "beside_real": None if arm is Arm.REAL else beside_real(own, real),
        }
    return {
        "network": fits[0]["network"],
        "steps": fits[0]["steps"],
        "arms": arms,
        "found_again": found_again(real),
    }


def found_again(real: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Mean and deviation over seeds of what segmenters of real pairs find of the labels in generated
    photographs: by kind of these, each score. None if there are no such segmenters."""
    kinds = real[0]["found_again"] if real else {}
    return {
        kind: {
            score: over_seeds([fit["found_again"][kind][score] for fit in real]) for score in SCORES
        }
        for kind in kinds
    } or None


def over_seeds(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and sample deviation; one seed has no deviation."""
    deviation = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    return {"mean": round(float(np.mean(values)), 4), "deviation": deviation}


def beside_real(
    own: Sequence[Mapping[str, Any]], real: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The F1 of an arm less that of real pairs alone, both fits of a seed together.

    difference: mean and deviation over seeds. beyond_seeds: whether it is larger than that
    deviation, None of one seed. images_better: test pictures that are better in the mean over seeds.
    None if no seed has both.
    """
    partners = {fit["seed"]: fit for fit in real}
    both = [(fit, partners[fit["seed"]]) for fit in own if fit["seed"] in partners]
    if not both:
        return None
    difference = over_seeds([a["in_field"]["f1"] - b["in_field"]["f1"] for a, b in both])
    images = np.mean([_image_scores(a) - _image_scores(b) for a, b in both], axis=0)
    found = {
        "difference": difference,
        "seeds": len(both),
        "beyond_seeds": _beyond(difference),
        "images": len(images),
        "images_better": int((images > 0).sum()),
    }
    return found | {"sentence": sentence(found)}


def sentence(found: Mapping[str, Any]) -> str:
    """A difference in plain words."""
    mean, deviation = found["difference"]["mean"], found["difference"]["deviation"]
    where = "above" if mean > 0 else "below"
    text = f"F1 is {abs(mean):.4f} {where} that of real pairs alone"
    if deviation is None:
        text += "; with one seed nothing says how much of that is chance"
    elif found["beyond_seeds"]:
        text += f", more than the seeds differ ({deviation:.4f})"
    else:
        text += f", no more than the seeds differ ({deviation:.4f})"
    return f"{text}. Better on {found['images_better']} of {found['images']} test pictures."


def caveats(report: Mapping[str, Any]) -> list[str]:
    """What a reader should know before quoting the figures."""
    said, pairs = [], report["facts"]["pairs"]
    said.append(
        f"{len(pairs['train'])} real pairs that the model learned from and {len(pairs['test'])} held out: so "
        "few that every figure about them is rough."
    )
    said.append(
        "Held out means other pictures; whether also other people, only their names can tell."
    )
    if report["useful"] is None:
        said.append("Not evaluated: whether the pairs are useful for training.")
    else:
        seeds = min(len(arm["seeds"]) for arm in report["useful"]["arms"].values())
        if seeds < 3:
            said.append(f"{seeds} seed{'s' * (seeds != 1)}: too few to tell chance from effect.")
        said.append(
            "The segmenter and its training are small; a larger one would score higher in all rows."
        )
        if Arm.RENDERED not in report["useful"]["arms"]:
            said.append(
                "Without the model at hand, real labels were not photographed by stage two."
            )
    if report["real"] is None:
        said.append("Not evaluated: whether the pairs are like real ones, or copies of them.")
        return said
    counts = report["real"]["counts"]
    if counts["looked_at"] < counts["synthetic"]:
        said.append(
            f"Real and Private look at the first {counts['looked_at']} synthetic pairs only."
        )
    if reason := report["real"]["kid"].get("not_computed"):
        said.append(f"KID was not computed: {reason}.")
    else:
        said.append(
            "KID depends on the network: these figures are not to be compared with ones of Inception."
        )
    for kind, found in report["private"].items():
        if found["copies"]:
            said.append(f"{len(found['copies'])} of the {kind} are copies of training {kind}.")
        if found["duplicates"]:
            said.append(f"{len(found['duplicates'])} pairs of {kind} are duplicates of each other.")
    return said


def _ratio(own: Sequence[Mapping[str, Any]], real: Sequence[Mapping[str, Any]]) -> float | None:
    if not real:
        return None
    ours, theirs = (np.mean([fit["in_field"]["f1"] for fit in fits]) for fits in (own, real))
    return round(float(ours / theirs), 4) if theirs else None


def _image_scores(fit: Mapping[str, Any]) -> np.ndarray:
    return np.array([image["f1"] for image in fit["per_image"]])


def _beyond(difference: Mapping[str, float | None]) -> bool | None:
    mean, deviation = difference["mean"], difference["deviation"]
    return None if deviation is None or mean is None else abs(mean) > deviation

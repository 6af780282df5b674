"""The README's table of results, from reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = """\
| model | trained on | F1 | of real | AUC | sensitivity | specificity | clDice |
|---|---|---|---|---|---|---|---|"""
MEASURED = """\
| model | copies | nearer to training (real left out) | KID to training (real to held out) | beyond chance |
|---|---|---|---|---|"""


def markdown(reports: Sequence[Mapping[str, Any]]) -> str:
    """Two tables: what segmenters score in the field of view, mean and deviation over seeds; and how real
    and private the pairs are. Parts that no report has are left out."""
    tables = []
    if scores := [line for report in reports for line in _scores(report)]:
        tables.append("\n".join([HEAD, *scores]))
    if measured := [_measured(report) for report in reports if report["real"]]:
        tables.append("\n".join([MEASURED, *measured]))
    return "\n\n".join(tables) + "\n"


def title(report: Mapping[str, Any]) -> str:
    """What was evaluated: ``chase-256@1.1.0``, as far as it is known."""
    model = report["facts"]["model"]
    return f"{model['name']}@{model['version']}" if model else "an order"


def _scores(report: Mapping[str, Any]) -> list[str]:
    if not report["useful"]:
        return []
    lines = []
    for arm, found in report["useful"]["arms"].items():
        field = found["in_field"]
        cells = [with_deviation(field["f1"]), f"{found['ratio']:.3f}" if found["ratio"] else "-"]
        cells += [
            f"{field[score]['mean']:.3f}"
            for score in ("auc", "sensitivity", "specificity", "cl_dice")
        ]
        lines.append(f"| {title(report)} | {arm} | {' | '.join(cells)} |")
    return lines


def _measured(report: Mapping[str, Any]) -> str:
    maps, real = report["private"]["maps"], report["real"]
    nearer, kid = maps["nearer_to_training"], real["kid"]
    left_out = f"{nearer['training_left_out']:.2f}, {nearer['hold_out_left_out']:.2f}"
    distance = (
        "not computed"
        if "not_computed" in kid
        else f"{kid['generated_train']['mean']:.3f} ({kid['train_test']['mean']:.3f})"
    )
    beyond = [
        name.replace("_", " ")
        for kind in ("maps", "photographs")
        for name, found in real[kind].items()
        if found["beyond_chance"]
    ]
    return (
        f"| {title(report)} | {len(maps['copies'])} of {real['counts']['looked_at']} | "
        f"{nearer['generated']:.2f} ({left_out}) | {distance} | {', '.join(beyond) or 'none'} |"
    )


def with_deviation(found: Mapping[str, float | None]) -> str:
    """``0.812 ± 0.004``."""
    if found["deviation"] is None:
        return f"{found['mean']:.3f}"
    return f"{found['mean']:.3f} ± {found['deviation']:.3f}"

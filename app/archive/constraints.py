"""Constraints that an order puts on all its pairs: its limits, and what the data set card says of them."""

from collections.abc import Mapping
from math import inf
from typing import Any

MEASURES = {
    "vessel_share": "vessel pixels per pixel of the field of view",
    "connected": "share of the vessel pixels in the largest connected piece",
    "likeness": "overlap (F1) with the nearest map that the order keeps away from, however it is turned, "
    "mirrored or shifted",
    "contrast": "grey levels of 255 by which vessels are darker than their rim, in the green channel",
}

LESIONS = {
    "none": "none",
    "mixed": "mixed: as often as in the training photographs",
    "all": "all: in every photograph",
}


def limits_of(order: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """The least and the most that the order takes of each measure that it limits."""
    shares = order.get("vessel_share")
    limits = {"vessel_share": (shares.get("min", 0.0), shares.get("max", 1.0))} if shares else {}
    quality = order.get("minimum_quality") or {}
    limits |= {name: (quality[name], inf) for name in MEASURES if name in quality}
    if avoided := order.get("not_like"):
        limits["likeness"] = (0.0, avoided["overlap"])
    return limits


def constraint_rows(order: Mapping[str, Any]) -> str:
    """Rows of the card's table."""
    rows = ""
    if order.get("style_seed") is not None:
        rows += f"| Style | one for all photographs, seed {order['style_seed']} |\n"
    if order.get("eye"):
        rows += f"| Eye | {order['eye']} |\n"
    if order.get("lesions"):
        rows += f"| Lesions | {LESIONS[order['lesions']]} |\n"
    if maps := order.get("maps"):
        rows += f"| Vessel maps | {maps['count']} given ones; metadata has each pair's `map` |\n"
    if avoided := order.get("not_like"):
        rows += f"| Kept away from | {avoided['count']} maps of an upload |\n"
    return rows


def selection(order: Mapping[str, Any], rejected: Mapping[str, int] | None) -> str:
    """The card's section on what was turned away; empty if the order sets no limits."""
    limits = limits_of(order)
    if not limits:
        return ""
    lines = ""
    for name in limits:
        turned_away = "" if rejected is None else f"; {rejected[name]} turned away"
        lines += f"- `{name}` ({MEASURES[name]}): {_span(*limits[name])}{turned_away}.\n"
    measured = ", ".join(f"`{name}`" for name in limits)
    return f"""\
## Selection

The pairs are not a fair sample of what the model draws. A candidate was taken only if it was within
these limits, and another drawn in its place if it was not:

{lines}
`metadata.jsonl` has each pair's {measured}.

"""


def _span(least: float, most: float) -> str:
    return f"at least {least:g}" if most == inf else f"{least:g} to {most:g}"

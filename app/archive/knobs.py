"""What the data set card says of an order that asks something of all its pairs alike."""

from collections.abc import Mapping
from typing import Any


def knob_rows(order: Mapping[str, Any]) -> str:
    """Rows of the card's table."""
    rows = ""
    if order.get("style_seed") is not None:
        rows += f"| Style | one for all photographs, seed {order['style_seed']} |\n"
    if order.get("eye"):
        rows += f"| Eye | {order['eye']} |\n"
    return rows

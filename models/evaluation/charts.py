"""Plots as inline SVG, in colours that the page's style sheet gives: no library, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH = 320
LEFT = 92  # of a row's name


def histogram(comparison: Mapping[str, Any], label: str) -> str:
    """Shares of generated values as bars, of real values as a line; both add up to 1."""
    height, base = 120, 96
    made, real = (_shares(comparison["histogram"][side]) for side in ("generated", "real"))
    edges = comparison["histogram"]["edges"]
    scale = (base - 8) / max(*made, *real, 1e-9)
    step = (WIDTH - 16) / len(made)
    bars = "".join(
        f'<rect class="made" x="{8 + i * step:.1f}" y="{base - share * scale:.1f}" '
        f'width="{step - 1:.1f}" height="{share * scale:.1f}"/>'
        for i, share in enumerate(made)
    )
    points = []
    for i, share in enumerate(real):
        y = base - share * scale
        points += [f"{8 + i * step:.1f},{y:.1f}", f"{8 + (i + 1) * step:.1f},{y:.1f}"]
    line = f'<polyline class="real" points="{" ".join(points)}"/>'
    axis = _line(8, base, WIDTH - 8, base) + _text(8, 112, f"{edges[0]:.3g}")
    axis += _text(WIDTH - 8, 112, f"{edges[-1]:.3g}", "end")
    return _svg(height, bars + line + axis, f"{label}: generated bars, real line")


def dots(rows: Sequence[tuple[str, Sequence[float]]], label: str) -> str:
    """A row for each name: a dot for each value, a tick at their mean."""
    values = [value for _, each in rows for value in each]
    low, high = _margins(min(values), max(values))
    height = 26 * len(rows) + 24
    parts = [_axis(low, high, height)]
    for i, (name, each) in enumerate(rows):
        y = 16 + 26 * i
        parts.append(_text(LEFT - 8, y + 4, name, "end"))
        parts += [
            f'<circle class="dot" cx="{_at(v, low, high):.1f}" cy="{y}" r="4"/>' for v in each
        ]
        x = _at(sum(each) / len(each), low, high)
        parts.append(f'<line class="mean" x1="{x:.1f}" y1="{y - 9}" x2="{x:.1f}" y2="{y + 9}"/>')
    return _svg(height, "".join(parts), label)


def spans(rows: Sequence[tuple[str, float, float, float]], label: str) -> str:
    """A row for each name: a dot, and a line from low to high; (name, value, low, high)."""
    low, high = _margins(min(row[2] for row in rows), max(row[3] for row in rows))
    height = 26 * len(rows) + 24
    parts = [_axis(low, high, height)]
    for i, (name, value, least, most) in enumerate(rows):
        y = 16 + 26 * i
        ends = _at(least, low, high), _at(most, low, high)
        parts.append(_text(LEFT - 8, y + 4, name, "end"))
        parts.append(
            f'<line class="span" x1="{ends[0]:.1f}" y1="{y}" x2="{ends[1]:.1f}" y2="{y}"/>'
        )
        parts.append(f'<circle class="dot" cx="{_at(value, low, high):.1f}" cy="{y}" r="4"/>')
    return _svg(height, "".join(parts), label)


def scatter(points: Sequence[Sequence[float]], limit: float, label: str) -> str:
    """Score with the nearest training picture (across) and hold-out picture (up), 0 to 1; a line where both
    are equal, and one at ``limit`` from where on a picture is a copy."""
    side, low = 240, 30

    def at(value: float) -> float:
        return low + (side - low - 8) * min(max(value, 0.0), 1.0)

    parts = [
        f'<circle class="point" cx="{at(x):.1f}" cy="{side - at(y):.1f}" r="2.5"/>'
        for x, y in points
    ]
    parts.append(_line(at(0), side - at(0), at(1), side - at(1)))
    parts.append(_line(at(limit), side - at(0), at(limit), side - at(1), "limit"))
    for value in (0, 0.5, 1):
        parts.append(_text(at(value), side - at(0) + 14, f"{value:g}", "middle"))
        parts.append(_text(at(0) - 4, side - at(value) + 4, f"{value:g}", "end"))
    return _svg(side, "".join(parts), label, side)


def _svg(height: float, content: str, label: str, width: float = WIDTH) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
        f"{content}</svg>"
    )


def _axis(low: float, high: float, height: float) -> str:
    y = height - 18
    ends = _text(LEFT, height - 4, f"{low:.3g}") + _text(
        WIDTH - 8, height - 4, f"{high:.3g}", "end"
    )
    return _line(LEFT, y, WIDTH - 8, y) + ends


def _at(value: float, low: float, high: float) -> float:
    return LEFT + (WIDTH - 8 - LEFT) * (value - low) / (high - low)


def _margins(low: float, high: float) -> tuple[float, float]:
    margin = 0.08 * (high - low) or 0.01
    return low - margin, high + margin


def _shares(counts: Sequence[int]) -> list[float]:
    return [count / max(1, sum(counts)) for count in counts]


def _line(x1: float, y1: float, x2: float, y2: float, style: str = "axis") -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'

"""What the steps of an evaluation leave behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class StepResult:
    """What a step has found: values as JSON holds them, and pictures for the report, PNGs by name."""

    values: dict[str, Any]
    pictures: dict[str, bytes] = field(default_factory=dict)

"""An evaluation as steps of minutes, so that it can be stopped, resumed, and shared by workers."""

from __future__ import annotations

from collections.abc import Callable

from models.evaluation.measures import measure
from models.evaluation.pair_arrays import EvaluationData
from models.evaluation.results import StepResult
from models.evaluation.settings import Arm, EvaluationSettings
from models.evaluation.useful.fit import fit_arm

MEASURES = "measures"  # the step that compares pictures; the others are fits
PARTS = (MEASURES, *(arm.value for arm in Arm))  # what can be asked for alone


def steps(settings: EvaluationSettings, rendered: bool) -> tuple[str, ...]:
    """Names of the steps in the order to take them, each independent of the others.

    ``rendered``: whether there are photographs of real labels by stage two.
    """
    arms = [arm for arm in Arm if rendered or arm is not Arm.RENDERED]
    fits = (f"fit:{arm}:{seed}" for seed in range(settings.seeds) for arm in arms)
    return (MEASURES, *fits)


def part_of(step: str) -> str:
    """The part that a step belongs to: ``fit:real:0`` to ``real``."""
    return step if step == MEASURES else step.split(":")[1]


def run_step(
    step: str,
    data: EvaluationData,
    settings: EvaluationSettings,
    report: Callable[[float], None] = lambda share: None,
) -> StepResult:
    """Take one step; ``report`` is told the share that is done, and may raise to stop it."""
    if step == MEASURES:
        return measure(data, settings, report)
    _, arm, seed = step.split(":")
    return fit_arm(Arm(arm), int(seed), data, settings, report)

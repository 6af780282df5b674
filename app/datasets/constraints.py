"""Constraints that an order puts on all its pairs, checked against what its model makes."""

from collections.abc import Mapping
from math import prod
from statistics import NormalDist
from typing import Any

from app.access.caller import Caller
from app.archive.constraints import limits_of
from app.datasets.schemas import DatasetOrder
from app.deps import Services
from app.errors import ProblemError, invalid_field
from app.registry.schemas import MaskName
from app.registry.service import RegisteredModel

# Share of the candidates. A worker gives up only where far fewer are good: the estimate is rough.
LEAST_GOOD = 0.1
# Of the time that a pair takes, the vessel map takes this share (shipped model, two cores).
TIME_OF_MAP = 0.16

# Where a package's metrics have mean and deviation of a measure, and which field limits it.
METRICS = {
    "vessel_share": ("maps_generated", "vessel_share"),
    "connected": ("maps_generated", "largest_piece_share"),
    "contrast": ("vessel_contrast", "on_label"),
}
FIELDS = {
    "vessel_share": "vessel_share",
    "connected": "minimum_quality/connected",
    "contrast": "minimum_quality/contrast",
}


def check_eye(order: DatasetOrder, model: RegisteredModel) -> None:
    """Raises the problem that the model does not know the eye that is asked for."""
    if order.eye is not None and model.manifest.sampling.eye is None:
        raise invalid_field(
            "eye", f"The model {model.id} does not know left eyes from right ones: leave it out."
        )


MASK_TITLES: dict[MaskName, str] = {"disc": "optic disc", "lesions": "lesions"}


def check_masks(
    services: Services, caller: Caller, order: DatasetOrder, model: RegisteredModel
) -> None:
    """Check that the model draws the masks and lesions that the order asks for.

    Raises:
        ProblemError: it does not; the problem names the models that do.
    """
    drawn = model.manifest.masks
    for place, mask in enumerate(order.masks or []):
        if mask not in drawn:
            raise _not_drawn(services, caller, model, mask, f"masks/{place}")
    if order.lesions == "all" and "lesions" not in drawn:
        raise _not_drawn(services, caller, model, "lesions", "lesions")


def _not_drawn(
    services: Services, caller: Caller, model: RegisteredModel, mask: MaskName, field: str
) -> ProblemError:
    with services.db.read() as session:
        models = services.registry.models(session, caller)
    others = ", ".join(other.id for other in models if mask in other.manifest.masks)
    hint = f"Order from one that does: {others}." if others else "No model here does: leave it out."
    return invalid_field(field, f"The model {model.id} draws no {MASK_TITLES[mask]}. {hint}")


def check_limits(request: Mapping[str, Any], model: RegisteredModel) -> None:
    """Refuse limits that hardly any pair of the model is within, as far as its metrics tell.

    Raises:
        ProblemError: it names the field that turns most away.
    """
    shares = _shares_within(request, model)
    if prod(shares.values()) >= LEAST_GOOD:
        return
    measure = min(shares, key=lambda name: shares[name])
    usual = _usual(measure, model, request["resolution"])
    assert usual is not None
    low, high = (max(0.0, usual.mean + way * usual.stdev) for way in (-2, 2))
    together = " together with the other limits" if len(shares) > 1 else ""
    raise invalid_field(
        FIELDS[measure],
        f"Fewer than one in {round(1 / LEAST_GOOD)} pairs of {model.id} would do{together}: its "
        f"usual range is {low:.2g} to {high:.2g}, with a mean of {usual.mean:.2g}.",
    )


def expected_slowdown(request: Mapping[str, Any], model: RegisteredModel) -> float:
    """By how much longer a pair takes for the candidates that are turned away; 1 without limits."""
    shares = _shares_within(request, model)
    photographs = 1 / max(LEAST_GOOD, shares.pop("contrast", 1.0))
    maps = photographs / max(LEAST_GOOD, prod(shares.values()))
    return TIME_OF_MAP * maps + (1 - TIME_OF_MAP) * photographs


def _shares_within(request: Mapping[str, Any], model: RegisteredModel) -> dict[str, float]:
    """The share of the model's candidates within each limit, where its metrics tell."""
    shares = {}
    for measure, (least, most) in limits_of(request).items():
        if usual := _usual(measure, model, request["resolution"]):
            shares[measure] = usual.cdf(most) - usual.cdf(least)
    return shares


def _usual(measure: str, model: RegisteredModel, resolution: int) -> NormalDist | None:
    """How the measure is distributed over what the model draws, if its metrics have it: those of the
    resolution, else those of the whole model."""
    if measure not in METRICS:
        return None
    group, name = METRICS[measure]
    metrics = model.manifest.metrics
    for figures in (_get(metrics, "by_resolution", str(resolution)), metrics):
        found = _get(figures, group, name)
        try:
            return NormalDist(float(found["mean"]), max(float(found["deviation"]), 1e-6))
        except (KeyError, TypeError, ValueError):
            continue
    return None


def _get(figures: Any, *names: str) -> Any:
    """What lies under these names of nested dictionaries; None if nothing does."""
    for name in names:
        figures = figures.get(name) if isinstance(figures, dict) else None
    return figures

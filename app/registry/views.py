"""How a model is shown to those who may order from it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.registry.schemas import ComparedMetric, Comparison, Model, ModelLinks
from app.registry.service import CARD, SAMPLES, RegisteredModel, Registry, UnknownModelError


def find_default(registry: Registry, session: Session, caller: Caller) -> RegisteredModel | None:
    """The model of the caller's orders that name none, if there is one."""
    try:
        return registry.default(session, caller)
    except UnknownModelError:
        return None


def show(model: RegisteredModel, default: RegisteredModel | None) -> Model:
    """The model, and whether it is the default."""
    home = f"/models/{model.id}"
    return Model(
        **model.manifest.model_dump(exclude={"format", "files", "networks", "sampling"}),
        masks=model.manifest.masks,
        eyes=model.manifest.sampling.eye is not None,
        id=model.id,
        default=default is not None and default.id == model.id,
        digest=model.digest,
        shipped=model.shipped,
        links=ModelLinks(
            self=home,
            export=f"{home}/export",
            card=f"{home}/card" if model.has(CARD) else None,
            samples=f"{home}/samples" if model.has(SAMPLES) else None,
            evaluations=f"/evaluations?model={model.id}",
        ),
    )


def compare(models: Sequence[Model]) -> Comparison:
    """The models side by side: a row for each figure in the metrics of any."""
    columns = [_figures(model.metrics) for model in models]
    names = dict.fromkeys(name for column in columns for name in column)
    metrics = [
        ComparedMetric(name=name, values=[column.get(name) for column in columns]) for name in names
    ]
    return Comparison(models=list(models), metrics=metrics)


def _figures(metrics: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The metrics without nesting: {"a": {"b": 1}} as {"a.b": 1}."""
    figures: dict[str, Any] = {}
    for name, value in metrics.items():
        nested = isinstance(value, dict)
        figures |= _figures(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return figures

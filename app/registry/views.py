"""How a model is shown to those who may order from it."""

from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.registry.schemas import Model, ModelLinks
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
        id=model.id,
        default=default is not None and default.id == model.id,
        digest=model.digest,
        shipped=model.folder is not None,
        links=ModelLinks(
            self=home,
            card=f"{home}/card" if model.has(CARD) else None,
            samples=f"{home}/samples" if model.has(SAMPLES) else None,
        ),
    )

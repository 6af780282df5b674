"""What an order asks of all its pairs alike, held against what its model can do."""

from app.datasets.schemas import DatasetOrder
from app.errors import invalid_field
from app.registry.service import RegisteredModel


def check_knobs(order: DatasetOrder, model: RegisteredModel) -> None:
    """Refuse what the model cannot do.

    Raises:
        ProblemError: it names the field.
    """
    if order.eye is not None and model.manifest.sampling.eye is None:
        raise invalid_field(
            "eye", f"The model {model.id} does not know left eyes from right ones: leave it out."
        )

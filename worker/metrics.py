"""What a worker counts. docs/observability.md says the same to those who read it."""

from app.jobs.tables import ItemKind
from worker.shared_metrics import SharedCounter, SharedGauge

FINISHED, FAILED, LEFT, LOST = OUTCOMES = ("finished", "failed", "left", "lost")
KINDS = tuple(ItemKind)

ITEMS = SharedCounter(
    "fundusmith_items_ended",
    "Items that the worker has had in hand, by how that ended: finished, failed, left (given back "
    "because the worker stops or the job was cancelled), or lost to another worker.",
    kind=KINDS,
    outcome=OUTCOMES,
)
ITEM_SECONDS = SharedCounter(
    "fundusmith_item_seconds", "Seconds that items were in hand, however they ended.", kind=KINDS
)
PAIRS = SharedCounter("fundusmith_pairs", "Pairs drawn for orders.")
STAGE_SECONDS = SharedCounter(
    "fundusmith_stage_seconds",
    "Seconds that the stages of making pairs were at work, all threads together.",
    stage=("generate", "encode", "upload"),
)
TRAINING_IMAGES = SharedCounter(
    "fundusmith_training_images",
    "Real pictures shown to the networks in training.",
    stage=("vessel", "photo"),
)
MODEL_LOADS = SharedCounter("fundusmith_model_loads", "Models loaded to draw with.")
MODEL_LOAD_SECONDS = SharedCounter(
    "fundusmith_model_load_seconds", "Seconds that loading these models took."
)
DEVICE_MEMORY = SharedGauge(
    "fundusmith_device_memory_bytes",
    "Memory of the worker's device as its latest item has found it: used, by whomever, of total; on "
    "the CPU, what the worker itself takes of the machine's or the container's.",
    state=("used", "total"),
)

"""What a worker counts. docs/observability.md says the same to those who read it.

The pool process counts and the main process serves. In Prometheus's multiprocess mode, which
:mod:`worker.multiprocess_metrics` turns on, values lie in files: those of a pool process that is
killed and replaced still count. Hence no registry: the files are read in its place.
"""

from itertools import product

from prometheus_client import Counter, Gauge

from app.jobs.tables import ItemKind

FINISHED, FAILED, LEFT, LOST = OUTCOMES = ("finished", "failed", "left", "lost")
KINDS = tuple(ItemKind)
STAGES = ("generate", "encode", "upload")
TRAINING_STAGES = ("vessel", "photo")

ITEMS = Counter(
    "fundusmith_items_ended",
    "Items that the worker has had in hand, by how that ended: finished, failed, left (given back "
    "because the worker stops or the job was cancelled), or lost to another worker.",
    ["kind", "outcome"],
    registry=None,
)
ITEM_SECONDS = Counter(
    "fundusmith_item_seconds",
    "Seconds that items were in hand, however they ended.",
    ["kind"],
    registry=None,
)
PAIRS = Counter("fundusmith_pairs", "Pairs drawn for orders.", registry=None)
STAGE_SECONDS = Counter(
    "fundusmith_stage_seconds",
    "Seconds that the stages of making pairs were at work, all threads together.",
    ["stage"],
    registry=None,
)
TRAINING_IMAGES = Counter(
    "fundusmith_training_images",
    "Real pictures shown to the networks in training.",
    ["stage"],
    registry=None,
)
MODEL_LOADS = Counter("fundusmith_model_loads", "Models loaded to draw with.", registry=None)
MODEL_LOAD_SECONDS = Counter(
    "fundusmith_model_load_seconds", "Seconds that loading these models took.", registry=None
)
DEVICE_MEMORY = Gauge(
    "fundusmith_device_memory_bytes",
    "Memory of the worker's device as its latest item has found it: used, by whomever, of total; on "
    "the CPU, what the worker itself takes of the machine's or the container's.",
    ["state"],
    registry=None,
    multiprocess_mode="mostrecent",
)

# Series begin at 0, so that the first increment of each shows as one.
for _kind, _outcome in product(KINDS, OUTCOMES):
    ITEMS.labels(_kind, _outcome)
for _counter, _values in (
    (ITEM_SECONDS, KINDS),
    (STAGE_SECONDS, STAGES),
    (TRAINING_IMAGES, TRAINING_STAGES),
):
    for _value in _values:
        _counter.labels(_value)

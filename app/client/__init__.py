"""The Python client of the service: ``Client``, and ``AsyncClient`` for programs with an event loop.

with Client() as client:
    client.datasets.order(100, seed=7).wait().download("data/")
"""

from app.client.answers import ENDED, Archive, Quote, Usage, Volume
from app.client.async_client import AsyncClient
from app.client.async_handles import (
    AsyncDataset,
    AsyncEvaluation,
    AsyncModel,
    AsyncTrainingRun,
    AsyncUpload,
)
from app.client.client import Client
from app.client.errors import (
    ClientError,
    DamagedError,
    Fault,
    JobFailedError,
    ServiceError,
    UnreachableError,
)
from app.client.handles import Dataset, Evaluation, Job, Model, TrainingRun, Upload

__all__ = [
    "ENDED",
    "Archive",
    "AsyncClient",
    "AsyncDataset",
    "AsyncEvaluation",
    "AsyncModel",
    "AsyncTrainingRun",
    "AsyncUpload",
    "Client",
    "ClientError",
    "DamagedError",
    "Dataset",
    "Evaluation",
    "Fault",
    "Job",
    "JobFailedError",
    "Model",
    "Quote",
    "ServiceError",
    "TrainingRun",
    "UnreachableError",
    "Upload",
    "Usage",
    "Volume",
]

"""What went wrong with an item, in plain words: why, and what to do."""

import errno
from dataclasses import dataclass

import torch

from app.archive.pack import ArchiveError
from app.registry.manifest import PackageFault
from app.storage import StorageKeyError, StorageUnavailableError
from app.uploads.pictures import NoSuchPicture
from models.package import PackageError
from models.pairs import PairError
from models.selection import LimitsNotMet
from models.training.checkpoint import CheckpointError
from models.training.transfer import TransferError
from worker.evaluation.data import CannotEvaluate
from worker.model_cache import ModelUnavailable

BUG = "The worker ran into an error of its own; its log has the details. Tell those who run the service."
LATER = "Try again when those who run the service have seen to it."


@dataclass(frozen=True)
class Failure:
    """``code`` is for programs, ``detail`` for people. ``final``: trying again would not help."""

    code: str
    detail: str
    final: bool = False


def explain(error: Exception) -> Failure:
    """The failure that an exception of the item's work stands for; of a bug, nothing of its inside."""
    match error:
        case LimitsNotMet():
            return Failure(
                "limits_not_met",
                f"The model does not make what was ordered: {error}. Order again with wider limits.",
                final=True,
            )
        case ModelUnavailable():
            return Failure(error.code, str(error), error.final)
        case NoSuchPicture():
            return Failure(
                "maps_missing",
                "The uploaded maps are no longer there. Upload them again and order.",
                final=True,
            )
        case ArchiveError() | StorageKeyError():
            return Failure(
                "parts_missing",
                f"Parts of the data set are missing: {error}. Order again with the same seed.",
            )
        case CannotEvaluate():
            return Failure("cannot_evaluate", f"The evaluation cannot go on: {error}.", final=True)
        case TransferError() | PairError():
            return Failure("cannot_train", f"The run cannot go on: {error}.", final=True)
        case PackageError():
            return Failure(
                "model_damaged", "The package of the model that the run starts from is damaged."
            )
        case PackageFault():
            return Failure(
                "package_refused", f"The package that the run made cannot be used: {error}."
            )
        case CheckpointError():
            return Failure("checkpoint_damaged", "The checkpoint of the run cannot be used.")
        case MemoryError() | torch.OutOfMemoryError():
            return Failure("out_of_memory", f"The worker has too little memory for this. {LATER}")
        case StorageUnavailableError():
            return Failure("storage_failed", f"The file store failed: {error.reason}. {LATER}")
        case OSError():
            return Failure(
                "storage_failed", f"Reading or writing failed: {_of_disk(error)}. {LATER}"
            )
    return Failure("internal_error", BUG)


def _of_disk(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "the service may not write there"
    return error.strerror or "the system did not say why"

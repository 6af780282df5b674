"""Orders that render uploaded maps, or keep away from them."""

from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.access.jobs import find_job
from app.datasets.schemas import AvoidedMaps, DatasetOrder, GivenMaps
from app.deps import Services
from app.errors import invalid_field
from app.jobs.states import lock_job
from app.jobs.tables import Job, JobKind, JobStatus

OF_DRAWN_MAPS = ("eye", "vessel_share", "minimum_quality", "not_like", "lesions", "masks")
MOST_AVOIDED = 100  # maps that each candidate is compared with


def given_maps(services: Services, caller: Caller, order: DatasetOrder) -> GivenMaps | None:
    """The maps that the order names, if it names any.

    Raises:
        ProblemError: they cannot be had, or the order asks for what only drawn maps can be.
    """
    if order.maps is None:
        return None
    with services.db.read() as session:
        upload = _find(session, order.maps, caller, "maps")
    for field in OF_DRAWN_MAPS:
        if getattr(order, field) is not None:
            raise invalid_field(field, "Given maps are taken as they are: leave this out.")
    assert upload.index_sha256 is not None
    return GivenMaps(upload=upload.id, count=upload.count, sha256=upload.index_sha256)


def avoided_maps(services: Services, caller: Caller, order: DatasetOrder) -> AvoidedMaps | None:
    """The maps that the order keeps away from, if it names any.

    Raises:
        ProblemError: they cannot be had, or they are too many.
    """
    if order.not_like is None:
        return None
    with services.db.read() as session:
        upload = _find(session, order.not_like.upload, caller, "not_like/upload")
    if upload.count > MOST_AVOIDED:
        detail = (
            f"It has {upload.count} maps; {MOST_AVOIDED} at most are compared with each drawn one."
        )
        raise invalid_field("not_like/upload", detail)
    assert upload.index_sha256 is not None
    return AvoidedMaps(
        upload=upload.id,
        count=upload.count,
        sha256=upload.index_sha256,
        overlap=order.not_like.overlap,
    )


def keep_maps(session: Session, upload_id: str, caller: Caller, field: str) -> None:
    """Lock the upload that a field names until the transaction ends, in which an order is stored that needs it.

    Raises:
        ProblemError: it has gone in the meantime.
    """
    lock_job(session, upload_id)
    _find(session, upload_id, caller, field)


def _find(session: Session, upload_id: str, caller: Caller, field: str) -> Job:
    upload = find_job(session, JobKind.UPLOAD, upload_id, caller)
    if upload is None or upload.deleted_at is not None:
        raise invalid_field(field, f"There is no upload {upload_id!r}.")
    if upload.status != JobStatus.SUCCEEDED:
        raise invalid_field(field, f"The upload has no maps: its job is {upload.status}.")
    return upload

"""What the routes of uploads take and answer alike."""

from typing import Annotated, Any

from fastapi import Path, Response

from app.access.caller import Caller
from app.deps import Services
from app.jobs.tables import ENDED
from app.openapi import header
from app.pages import ID
from app.uploads.parts import count_received
from app.uploads.schemas import Upload
from app.uploads.service import find_upload, read_report
from app.uploads.views import show

LOOK_AGAIN = 2  # seconds

UploadId = Annotated[str, Path(pattern=ID, description="The id that the upload was answered with.")]
WATCH_HEADERS: dict[str, Any] = {
    "Retry-After": header(
        "Seconds until the next look, while the job has not ended.", "integer", required=False
    ),
}


def look(services: Services, caller: Caller, upload_id: str) -> Upload:
    """The upload as it is now.

    Raises:
        ProblemError: there is none.
    """
    with services.db.read() as session:
        job = find_upload(session, upload_id, caller)
    report = read_report(services, upload_id) if job.status in ENDED else None
    return show(job, report, count_received(services, job))


def answer(upload: Upload, status: int, headers: dict[str, str] | None = None) -> Response:
    """The upload as an answer, which says when to look again."""
    headers = dict(headers or {})
    if upload.status not in ENDED:
        headers["Retry-After"] = str(LOOK_AGAIN)
    return Response(upload.model_dump_json(), status, headers, "application/json")

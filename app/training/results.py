"""What a run leaves as it goes: metrics, sheets of samples, TensorBoard files.

Each recorded slice names the objects that it has written; others in the storage do not count.
"""

import json
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.access.jobs import refuse_expired
from app.deps import Services
from app.errors import not_found, not_ready
from app.jobs.runs import slices
from app.jobs.tables import Job
from app.training.schemas import Metrics, MetricsLine, Sample, SampleList, Stage
from app.training.service import find_run

IN_MEMORY = 4 << 20  # bytes of a zip; a longer one goes to a temporary file


def read_metrics(
    services: Services, caller: Caller, run_id: str, stage: Stage, after: int, limit: int
) -> Metrics:
    """The stage's lines of more than ``after`` images, at most ``limit``."""
    data: list[MetricsLine] = []
    for result in _recorded(services, caller, run_id)[1]:
        if (
            result["metrics"] is None
            or result["stages"].get(stage, {"images": 0})["images"] <= after
        ):
            continue
        for text in services.storage.read(result["metrics"]).splitlines():
            line = json.loads(text)
            if line.pop("stage") != stage or line["images"] <= after:
                continue
            if len(data) == limit:
                return Metrics(stage=stage, data=data, has_more=True)
            images, seconds = line.pop("images"), line.pop("seconds")
            data.append(MetricsLine(images=images, seconds=seconds, values=line))
    return Metrics(stage=stage, data=data, has_more=False)


def list_samples(services: Services, caller: Caller, run_id: str) -> SampleList:
    """The run's sheets, the oldest first."""
    home = f"/training-runs/{run_id}/samples"
    return SampleList(
        data=[
            Sample(
                number=number, stage=sheet["stage"], images=sheet["images"], link=f"{home}/{number}"
            )
            for number, sheet in enumerate(_sheets(_recorded(services, caller, run_id)[1]))
        ]
    )


def read_sample(services: Services, caller: Caller, run_id: str, number: int) -> bytes:
    """The PNG of one sheet."""
    sheets = _sheets(_recorded(services, caller, run_id)[1])
    if number >= len(sheets):
        raise not_found(f"sheet {number}: the run has {len(sheets)}")
    return services.storage.read(sheets[number]["key"])


def zip_events(services: Services, caller: Caller, run_id: str) -> IO[bytes]:
    """A zip of the run's event files, one folder a stage."""
    job, results = _recorded(services, caller, run_id)
    events = [event for result in results for event in result["events"]]
    if not events:
        raise not_ready(job.status, "The run has no TensorBoard files yet.")
    file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  the answer closes it
    with ZipFile(file, "w", ZIP_STORED) as archive:
        for number, event in enumerate(events):
            name = f"{run_id}/{event['stage']}/events.out.tfevents.{number:010d}"
            with archive.open(ZipInfo(name), "w") as entry:
                for piece in services.storage.stream(event["key"]):
                    entry.write(piece)
    file.seek(0)
    return file


def _recorded(services: Services, caller: Caller, run_id: str) -> tuple[Job, list[dict[str, Any]]]:
    with services.db.read() as session:
        job = _find(session, caller, run_id)
        return job, slices(session, run_id)


def _find(session: Session, caller: Caller, run_id: str) -> Job:
    job = find_run(session, run_id, caller)
    refuse_expired(job)
    return job


def _sheets(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [sheet for result in results for sheet in result["sheets"]]

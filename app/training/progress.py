"""Where training runs stand."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.jobs.runs import newest_slices
from app.jobs.tables import Item, ItemState, Job
from app.training.schemas import Stage


class Place:
    """Where a run stands: its newest recorded slice, and what the slice in hand tells."""

    def __init__(self, newest: Mapping[str, Any], leased: Item | None) -> None:
        self.newest = newest
        self.slice = None if leased is None else leased.ordinal
        self.live: Mapping[str, Any] = (leased and leased.live) or {}
        self.workers = 0 if leased is None else 1

    def spent(self, stage: str) -> tuple[int, float]:
        """Images and seconds that the stage has had."""
        now = self.live if self.live.get("stage") == stage else None
        now = now or self.newest.get("stages", {}).get(stage, {"images": 0, "seconds": 0.0})
        return now["images"], now["seconds"]

    def seconds_left(self, job: Job) -> float | None:
        """Of training; None while the pace of a stage is not known."""
        budget, total = job.request["budget"], 0.0
        for stage in stages_of(job):
            images, seconds = self.spent(stage)
            if "minutes" in budget:
                total += max(0.0, budget["minutes"] * 60 - seconds)
            elif images:
                total += max(0, budget["images"] - images) * seconds / images
            else:
                return None
        return total


def stages_of(job: Job) -> tuple[Stage, ...]:
    """The stages that the run trains, in order."""
    stages = job.request["stages"]
    return ("vessel", "photo") if stages == "both" else (stages,)


def find_places(session: Session, job_ids: list[str]) -> dict[str, Place]:
    """Where each of these runs stands."""
    newest = newest_slices(session, job_ids)
    of_jobs = select(Item).where(Item.job_id.in_(job_ids), Item.state == ItemState.LEASED)
    leased = {item.job_id: item for item in session.scalars(of_jobs)}
    return {job_id: Place(newest.get(job_id, {}), leased.get(job_id)) for job_id in job_ids}

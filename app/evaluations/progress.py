"""Where evaluations stand."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.evaluations.schemas import EvaluationProgress, StepInHand, Summary
from app.jobs.evaluations import HUNDREDTHS, MEASURES, step_names
from app.jobs.tables import OPEN, Item, ItemKind, ItemState, Job

TELLING = 0.05  # share of a step from which on its pace says how long it will take


class Standing:
    """What an evaluation's items tell; of an expired one there are none."""

    def __init__(self, job: Job, items: Iterable[Item]) -> None:
        self._names = step_names(job.request)
        items = list(items)
        self._steps = [item for item in items if item.kind == ItemKind.STEP]
        self._report = next((item for item in items if item.kind == ItemKind.REPORT), None)
        self.workers = sum(item.state == ItemState.LEASED for item in items)

    @property
    def summary(self) -> Summary | None:
        """Of the report, once it is written."""
        written = self._report and self._report.result
        return Summary(**written["summary"]) if written else None

    def progress(self, job: Job) -> EvaluationProgress:
        done = sum(item.state == ItemState.DONE for item in self._steps)
        return EvaluationProgress(
            steps=len(self._names),
            done=len(self._names) if job.succeeded_at is not None else done,
            current=[
                StepInHand(step=self._names[item.ordinal], share=_share(item))
                for item in self._steps
                if item.state == ItemState.LEASED
            ],
        )

    def seconds_left(self, _job: Job) -> float | None:
        """Of work; None while it is not known how long a step takes."""
        left = 0.0
        for item in self._steps:
            if item.state in OPEN:
                seconds = _expected(item) if self._measures(item) else self._seconds_of_fit()
                if seconds is None:
                    return None
                left += seconds * (1 - _share(item))
        return left

    def _seconds_of_fit(self) -> float | None:
        """All fits have as many steps: those that are done tell, or else those in hand."""
        fits = [item for item in self._steps if not self._measures(item)]
        known = [item.result["step_seconds"] for item in fits if item.result]
        known = known or [seconds for item in fits if (seconds := _expected(item)) is not None]
        return sum(known) / len(known) if known else None

    def _measures(self, item: Item) -> bool:
        return self._names[item.ordinal] == MEASURES


def find_standings(session: Session, jobs: Sequence[Job]) -> dict[str, Standing]:
    """Where each of these evaluations stands."""
    of_jobs = select(Item).where(Item.job_id.in_([job.id for job in jobs]))
    items: dict[str, list[Item]] = {job.id: [] for job in jobs}
    for item in session.scalars(of_jobs.order_by(Item.ordinal)) if jobs else ():
        items[item.job_id].append(item)
    return {job.id: Standing(job, items[job.id]) for job in jobs}


def _share(item: Item) -> float:
    return item.progress / HUNDREDTHS


def _expected(item: Item) -> float | None:
    """Seconds that the step in hand will take in all."""
    share = _share(item)
    return item.live["seconds"] / share if item.live and share >= TELLING else None

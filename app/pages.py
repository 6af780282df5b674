"""What the routes of all kinds of job ask for alike: ids, and pages of a list."""

from typing import Annotated

from fastapi import Query

from app.jobs.tables import JobStatus

ID = r"^[A-Za-z0-9_-]{1,40}$"
LONGEST_PAGE = 100
FIRST_PAGE = 20

StatusFilter = Annotated[JobStatus | None, Query(description="Only those in this state.")]
After = Annotated[str | None, Query(pattern=ID, description="The last id of the page before.")]
Limit = Annotated[
    int, Query(ge=1, description=f"Length of the page; more than {LONGEST_PAGE} is reduced.")
]

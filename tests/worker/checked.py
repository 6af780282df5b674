"""Uploads that a worker has checked."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from app.database import Database
from app.jobs.tables import Job
from app.storage import Storage
from app.uploads.pictures import Which, read_picture, report_key
from app.uploads.schemas import Report
from tests.zips import Pixels

# Every fault has a test; that databases and storages of both kinds carry uploads has one of its own.
embedded = pytest.mark.parametrize("parts", ["embedded"], indirect=True)
production = pytest.mark.parametrize("parts", ["production"], indirect=True)


class Checked:
    """What became of an upload."""

    def __init__(self, db: Database, storage: Storage, upload_id: str) -> None:
        self._storage = storage
        with db.read() as session:
            self.job = session.get_one(Job, upload_id)
        self.report = Report.model_validate_json(storage.read(report_key(upload_id)))

    @property
    def refused(self) -> list[tuple[str, str]]:
        return [(each.file, each.code) for each in self.report.refused]

    def pixels(self, number: int, which: Which) -> Pixels:
        png = read_picture(self._storage, self.job.id, number, which)
        return np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]))


Check = Callable[..., Checked]  # takes the kind, the zip and options of the upload

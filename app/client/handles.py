"""Jobs and models as they were when they were asked for, with what can be done to them.

Nothing changes by itself: ``refresh``, ``wait``, ``cancel`` and so on return what is there afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from app.client import steps
from app.client.answers import (
    DatasetAnswer,
    Document,
    EvaluationAnswer,
    JobAnswer,
    MetricsLine,
    ModelAnswer,
    RunAnswer,
    UploadAnswer,
    read,
)
from app.client.contents import check_package
from app.client.downloads import (
    Runner,
    archive_path,
    download_dataset,
    fetch,
    quiet,
)
from app.client.errors import JobFailedError
from app.client.steps import ImageRole, OnBytes


@dataclass(frozen=True, kw_only=True)
class Job(JobAnswer):
    client: Runner = field(repr=False, compare=False)

    def refresh(self) -> Self:
        """The job as it is now."""
        return self._read(self.client.run(steps.get(self.path)))

    def wait(
        self,
        on_progress: Callable[[Self], None] = lambda job: None,
        poll_seconds: float | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Self:
        """The job when it has ended; ``on_progress`` is called with it at each change.

        Looks again when the service says that it is worth while, or each ``poll_seconds``.

        Raises:
            JobFailedError: it has ended without success, unless ``check`` is False.
            TimeoutError: it has not ended after ``timeout`` seconds.
        """
        looks = steps.wait(
            self.path, lambda document: on_progress(self._read(document)), poll_seconds, timeout
        )
        job = self._read(self.client.run(looks))
        if check and job.status != "succeeded":
            raise JobFailedError(job)
        return job

    def delete(self) -> None:
        """Remove the job and its bytes; it is cancelled first if it has not ended."""
        self.client.run(steps.act("DELETE", self.path))

    def _read(self, document: Any) -> Self:
        return read(type(self), document, client=self.client)


@dataclass(frozen=True, kw_only=True)
class Dataset(Job, DatasetAnswer):
    """An ordered data set."""

    def cancel(self) -> Self:
        """Stop it; what is finished can be downloaded."""
        return self._read(self.client.run(steps.act("POST", f"{self.path}/cancel")))

    def download(
        self, to: Path | str = ".", on_bytes: OnBytes = quiet, unpack: bool = False
    ) -> list[Path]:
        """Fetch and check the archive; see :func:`app.client.downloads.download_dataset`."""
        made = self if self.archive else self.refresh()
        return download_dataset(self.client, made, to, on_bytes, unpack)

    def preview(self) -> bytes:
        """The contact sheet, a PNG."""
        return self.client.run(steps.get_bytes(f"{self.path}/preview"))

    def picture(self, index: int, which: ImageRole) -> bytes:
        """One image of a pair, as a file; disc and lesions only if the order asked for these masks."""
        return self.client.run(steps.get_bytes(f"{self.path}/pairs/{index}/{which}"))


@dataclass(frozen=True, kw_only=True)
class Upload(Job, UploadAnswer):
    """Maps or pairs of your own."""

    def picture(self, number: int, which: Literal["image", "label", "mask"]) -> bytes:
        """One picture as it is used, a PNG."""
        return self.client.run(steps.get_bytes(f"{self.path}/pictures/{number}/{which}"))


@dataclass(frozen=True, kw_only=True)
class TrainingRun(Job, RunAnswer):
    """A model that is being trained."""

    def cancel(self) -> Self:
        """Stop it; what it has learned is kept."""
        return self._read(self.client.run(steps.act("POST", f"{self.path}/cancel")))

    def resume(self, minutes: float | None = None, images: int | None = None) -> Self:
        """Go on with a run that was cancelled or failed, perhaps with a larger budget."""
        budget = steps.budget(minutes, images)
        body = {"budget": budget} if budget else {}
        return self._read(self.client.run(steps.act("POST", f"{self.path}/resume", body)))

    def metrics(self, stage: Literal["vessel", "photo"], after: int = 0) -> list[MetricsLine]:
        """Losses and the like of a stage, the oldest first, from ``after`` images on."""
        lines = self.client.run(steps.metrics(self.path, stage, after))
        return [read(MetricsLine, line) for line in lines]

    def samples(self) -> list[bytes]:
        """The sheets drawn from fixed noise so far, PNGs, the oldest first."""
        sheets = self.client.run(steps.get(f"{self.path}/samples"))["data"]
        return [self.client.run(steps.get_bytes(sheet["link"])) for sheet in sheets]


@dataclass(frozen=True, kw_only=True)
class Evaluation(Job, EvaluationAnswer):
    """A model or a data set that is held against real pairs."""

    def cancel(self) -> Self:
        """Stop it; it has no report then."""
        return self._read(self.client.run(steps.act("POST", f"{self.path}/cancel")))

    def report(self) -> Document:
        """Every figure, with what it was measured on and how."""
        return self.client.run(steps.get(f"{self.path}/report"))

    def save_page(self, to: Path | str) -> Path:
        """Write the report as one HTML file, with plots and pictures, some of them of the upload."""
        page = self.client.run(steps.get_bytes(f"{self.path}/report.html"))
        Path(to).write_bytes(page)
        return Path(to)


@dataclass(frozen=True, kw_only=True)
class Model(ModelAnswer):
    """A model that orders can name."""

    client: Runner = field(repr=False, compare=False)

    def make_default(self) -> Self:
        """Have orders that name no model get this one."""
        document = self.client.run(steps.act("PUT", f"{self.path}/default"))
        return read(type(self), document, client=self.client)

    def delete(self) -> None:
        """Remove it; refused while an unfinished order or run uses it."""
        self.client.run(steps.act("DELETE", self.path))

    def card(self) -> str:
        """The model card, Markdown."""
        return self.client.run(steps.get_bytes(f"{self.path}/card")).decode()

    def export(self, to: Path | str = ".", on_bytes: OnBytes = quiet) -> Path:
        """Fetch the package as one zip, into a folder or to a file named .zip, and check it.

        Raises:
            DamagedError: what came is not what is there.
        """
        path = archive_path(self.id, to)
        fetch(
            self.client,
            f"{self.path}/export",
            path,
            lambda file: check_package(file, self.digest),
            on_bytes,
        )
        return path

"""The same as :mod:`app.client.handles`, for programs with an event loop.

Files come in threads of their own, which also call ``on_bytes``; a task that is cancelled stops them.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, Self

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
from app.client.calls import Steps, T
from app.client.contents import check_package
from app.client.downloads import (
    Runner,
    archive_path,
    download_dataset,
    fetch,
    quiet,
)
from app.client.errors import ClientError, JobFailedError
from app.client.steps import ImageRole, OnBytes


class AsyncRunner(Protocol):
    """Whoever takes steps without blocking, and can lend one who blocks to a thread."""

    async def run(self, task: Steps[T]) -> T: ...

    def blocking(self) -> AbstractContextManager[Runner]: ...


async def in_thread(
    client: AsyncRunner, on_bytes: OnBytes, work: Callable[[Runner, OnBytes], T]
) -> T:
    """Do the work, which is about a file, in a thread; stop it if nobody waits for it any longer."""
    stopped = threading.Event()

    def tell(done: int, total: int) -> None:
        if stopped.is_set():
            raise ClientError("Nobody waits for the file any longer.")
        on_bytes(done, total)

    def run() -> T:
        with client.blocking() as runner:
            return work(runner, tell)

    try:
        return await asyncio.to_thread(run)
    finally:
        stopped.set()


@dataclass(frozen=True, kw_only=True)
class AsyncJob(JobAnswer):
    client: AsyncRunner = field(repr=False, compare=False)

    async def refresh(self) -> Self:
        """The job as it is now."""
        return self._read(await self.client.run(steps.get(self.path)))

    async def wait(
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
        job = self._read(await self.client.run(looks))
        if check and job.status != "succeeded":
            raise JobFailedError(job)
        return job

    async def delete(self) -> None:
        """Remove the job and its bytes; it is cancelled first if it has not ended."""
        await self.client.run(steps.act("DELETE", self.path))

    def _read(self, document: Any) -> Self:
        return read(type(self), document, client=self.client)


@dataclass(frozen=True, kw_only=True)
class AsyncDataset(AsyncJob, DatasetAnswer):
    """An ordered data set."""

    async def cancel(self) -> Self:
        """Stop it; what is finished can be downloaded."""
        return self._read(await self.client.run(steps.act("POST", f"{self.path}/cancel")))

    async def download(
        self, to: Path | str = ".", on_bytes: OnBytes = quiet, unpack: bool = False
    ) -> list[Path]:
        """Fetch and check the archive; see :func:`app.client.downloads.download_dataset`."""
        made = self if self.archive else await self.refresh()
        return await in_thread(
            self.client,
            on_bytes,
            lambda runner, tell: download_dataset(runner, made, to, tell, unpack),
        )

    async def preview(self) -> bytes:
        """The contact sheet, a PNG."""
        return await self.client.run(steps.get_bytes(f"{self.path}/preview"))

    async def picture(self, index: int, which: ImageRole) -> bytes:
        """One image of a pair, as a file; disc and lesions only if the order asked for these masks."""
        return await self.client.run(steps.get_bytes(f"{self.path}/pairs/{index}/{which}"))


@dataclass(frozen=True, kw_only=True)
class AsyncUpload(AsyncJob, UploadAnswer):
    """Maps or pairs of your own."""

    async def picture(self, number: int, which: Literal["image", "label", "mask"]) -> bytes:
        """One picture as it is used, a PNG."""
        return await self.client.run(steps.get_bytes(f"{self.path}/pictures/{number}/{which}"))


@dataclass(frozen=True, kw_only=True)
class AsyncTrainingRun(AsyncJob, RunAnswer):
    """A model that is being trained."""

    async def cancel(self) -> Self:
        """Stop it; what it has learned is kept."""
        return self._read(await self.client.run(steps.act("POST", f"{self.path}/cancel")))

    async def resume(self, minutes: float | None = None, images: int | None = None) -> Self:
        """Go on with a run that was cancelled or failed, perhaps with a larger budget."""
        budget = steps.budget(minutes, images)
        body = {"budget": budget} if budget else {}
        return self._read(await self.client.run(steps.act("POST", f"{self.path}/resume", body)))

    async def metrics(self, stage: Literal["vessel", "photo"], after: int = 0) -> list[MetricsLine]:
        """Losses and the like of a stage, the oldest first, from ``after`` images on."""
        lines = await self.client.run(steps.metrics(self.path, stage, after))
        return [read(MetricsLine, line) for line in lines]

    async def samples(self) -> list[bytes]:
        """The sheets drawn from fixed noise so far, PNGs, the oldest first."""
        sheets = (await self.client.run(steps.get(f"{self.path}/samples")))["data"]
        return [await self.client.run(steps.get_bytes(sheet["link"])) for sheet in sheets]


@dataclass(frozen=True, kw_only=True)
class AsyncEvaluation(AsyncJob, EvaluationAnswer):
    """A model or a data set that is held against real pairs."""

    async def cancel(self) -> Self:
        """Stop it; it has no report then."""
        return self._read(await self.client.run(steps.act("POST", f"{self.path}/cancel")))

    async def report(self) -> Document:
        """Every figure, with what it was measured on and how."""
        return await self.client.run(steps.get(f"{self.path}/report"))

    async def save_page(self, to: Path | str) -> Path:
        """Write the report as one HTML file, with plots and pictures, some of them of the upload."""
        page = await self.client.run(steps.get_bytes(f"{self.path}/report.html"))
        await asyncio.to_thread(Path(to).write_bytes, page)
        return Path(to)


@dataclass(frozen=True, kw_only=True)
class AsyncModel(ModelAnswer):
    """A model that orders can name."""

    client: AsyncRunner = field(repr=False, compare=False)

    async def make_default(self) -> Self:
        """Have orders that name no model get this one."""
        document = await self.client.run(steps.act("PUT", f"{self.path}/default"))
        return read(type(self), document, client=self.client)

    async def delete(self) -> None:
        """Remove it; refused while an unfinished order or run uses it."""
        await self.client.run(steps.act("DELETE", self.path))

    async def card(self) -> str:
        """The model card, Markdown."""
        return (await self.client.run(steps.get_bytes(f"{self.path}/card"))).decode()

    async def export(self, to: Path | str = ".", on_bytes: OnBytes = quiet) -> Path:
        """Fetch the package as one zip, into a folder or to a file named .zip, and check it.

        Raises:
            DamagedError: what came is not what is there.
        """
        path = archive_path(self.id, to)
        await in_thread(
            self.client,
            on_bytes,
            lambda runner, tell: fetch(
                runner,
                f"{self.path}/export",
                path,
                lambda file: check_package(file, self.digest),
                tell,
            ),
        )
        return path

"""The client for programs with an event loop: every call is awaited.

The same steps as in :mod:`app.client.client` are taken. Files, which are read and written in any case,
come and go in threads, through a :class:`~app.client.client.Client`.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from app.client import steps
from app.client.answers import Document, Quote, Usage, read
from app.client.async_handles import (
    AsyncDataset,
    AsyncEvaluation,
    AsyncModel,
    AsyncTrainingRun,
    AsyncUpload,
    in_thread,
)
from app.client.calls import Call, Pause, Steps, T, http_options
from app.client.client import NEWEST, Client
from app.client.downloads import quiet
from app.client.errors import UnreachableError
from app.client.steps import (
    Contents,
    EvaluationOptions,
    OnBytes,
    OrderOptions,
    RunOptions,
    UploadOptions,
)
from app.client.uploading import send_package, send_upload

KINDS: dict[str, type[AsyncDataset | AsyncUpload | AsyncTrainingRun | AsyncEvaluation]] = {
    "ds": AsyncDataset,
    "up": AsyncUpload,
    "tr": AsyncTrainingRun,
    "ev": AsyncEvaluation,
}


class AsyncClient:
    """Calls one service; a context manager that closes its connections.

    ``address`` is the service's, by default that of the environment's FUNDUSMITH_SERVICE or
    http://127.0.0.1:8000; ``key`` an API key for a service that asks for one, by default
    FUNDUSMITH_API_KEY; ``timeout`` how many seconds to wait for an answer.

    Tasks of one event loop may share it. Lost connections and a service that is busy are tried again for some
    seconds; orders have a key by which they are placed only once. But a service that never
    answered is not waited for.

    Every call raises ServiceError when the service refuses, UnreachableError when it does not answer.
    """

    def __init__(
        self, address: str | None = None, timeout: float = 30, key: str | None = None
    ) -> None:
        self._http = httpx.AsyncClient(**http_options(address, key, timeout))
        self._timeout, self._key = timeout, key
        self._answered = False
        self.datasets = AsyncDatasets(self)
        self.uploads = AsyncUploads(self)
        self.training_runs = AsyncTrainingRuns(self)
        self.evaluations = AsyncEvaluations(self)
        self.models = AsyncModels(self)

    @property
    def address(self) -> str:
        return str(self._http.base_url).rstrip("/")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def is_ready(self) -> bool:
        """Whether a service answers there and says that it can take orders."""
        try:
            return (await self._http.get("/readyz", timeout=2)).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    async def job(
        self, job_id: str
    ) -> AsyncDataset | AsyncUpload | AsyncTrainingRun | AsyncEvaluation:
        """The data set, upload, training run or evaluation of this id.

        Raises:
            ValueError: the id is of none of them.
        """
        kind = KINDS.get(job_id.partition("_")[0])
        if kind is None:
            raise ValueError(f"{job_id!r} is no id: they start with {'_, '.join(KINDS)}_.")
        return read(kind, await self.run(steps.get(f"{kind.home}/{job_id}")), client=self)

    async def usage(self, days: int = 30) -> Usage:
        """What the owner of the key has used in the last days."""
        return read(Usage, await self.run(steps.get("/usage", days=days)))

    def blocking(self) -> Client:
        """A client of the same service for a thread."""
        return Client(self.address, self._timeout, self._key)

    async def run(self, task: Steps[T]) -> T:
        """Take the task's steps, one after another, and return its result."""
        try:
            step = next(task)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = task.send(None)
                    continue
                answer = await self._send(step)
                lost = isinstance(answer, httpx.TransportError)
                step = task.throw(answer) if lost else task.send(answer)
        except StopIteration as end:
            return end.value

    async def _send(self, call: Call) -> Any:
        """The answer, or the error of a lost connection."""
        try:
            response = await self._http.request(**call.arguments())
        except httpx.TransportError as error:
            if isinstance(error, httpx.ConnectError) and not self._answered:
                raise UnreachableError(f"No service answers at {self.address}.") from error
            return error
        self._answered = True
        return response


class AsyncDatasets:
    """Ordering data sets, and finding them again."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def order(
        self, count: int, *, idempotency_key: str | None = None, **options: Unpack[OrderOptions]
    ) -> AsyncDataset:
        """Order ``count`` pairs; the options are the order's other fields.

        Orders with the same ``idempotency_key`` are one order, also from another process; it is drawn
        if not given.
        """
        body = steps.order_body(count, options)
        document = await self._client.run(steps.order(AsyncDataset.home, body, idempotency_key))
        return read(AsyncDataset, document, client=self._client)

    async def quote(self, count: int, **options: Unpack[OrderOptions]) -> Quote:
        """What the order would cost; nothing is ordered."""
        return read(Quote, await self._client.run(steps.quote(steps.order_body(count, options))))

    async def get(self, dataset_id: str) -> AsyncDataset:
        document = await self._client.run(steps.get(f"{AsyncDataset.home}/{dataset_id}"))
        return read(AsyncDataset, document, client=self._client)

    async def list(self, status: str | None = None, limit: int = NEWEST) -> Sequence[AsyncDataset]:
        """The newest ones first."""
        found = await self._client.run(steps.pages(AsyncDataset.home, status, limit))
        return [read(AsyncDataset, document, client=self._client) for document in found]


class AsyncUploads:
    """Sending maps and pairs, and finding them again."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self,
        source: Path | str,
        kind: Contents = "pairs",
        on_bytes: OnBytes = quiet,
        **options: Unpack[UploadOptions],
    ) -> AsyncUpload:
        """Send a zip, or a folder as one; ``wait()`` then gives the report of its check.

        Raises:
            ClientError: there is nothing to send, or a link in the folder leads nowhere.
        """
        document = await in_thread(
            self._client,
            on_bytes,
            lambda client, tell: send_upload(client, Path(source), kind, tell, options),
        )
        return read(AsyncUpload, document, client=self._client)

    async def get(self, upload_id: str) -> AsyncUpload:
        document = await self._client.run(steps.get(f"{AsyncUpload.home}/{upload_id}"))
        return read(AsyncUpload, document, client=self._client)

    async def list(self, status: str | None = None, limit: int = NEWEST) -> Sequence[AsyncUpload]:
        """The newest ones first, without their reports."""
        found = await self._client.run(steps.pages(AsyncUpload.home, status, limit))
        return [read(AsyncUpload, document, client=self._client) for document in found]


class AsyncTrainingRuns:
    """Training models, and finding the runs again."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def start(
        self,
        upload: str,
        name: str,
        *,
        minutes: float | None = None,
        images: int | None = None,
        start_from: str | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[RunOptions],
    ) -> AsyncTrainingRun:
        """Train a model called ``name`` on an upload of pairs.

        The budget of each stage is in ``minutes`` or in ``images``; ``start_from`` names the model to
        go on from; the options are the other fields of a training run.
        """
        body = steps.run_body(upload, name, minutes, images, start_from, options)
        document = await self._client.run(steps.order(AsyncTrainingRun.home, body, idempotency_key))
        return read(AsyncTrainingRun, document, client=self._client)

    async def get(self, run_id: str) -> AsyncTrainingRun:
        document = await self._client.run(steps.get(f"{AsyncTrainingRun.home}/{run_id}"))
        return read(AsyncTrainingRun, document, client=self._client)

    async def list(
        self, status: str | None = None, limit: int = NEWEST
    ) -> Sequence[AsyncTrainingRun]:
        """The newest ones first."""
        found = await self._client.run(steps.pages(AsyncTrainingRun.home, status, limit))
        return [read(AsyncTrainingRun, document, client=self._client) for document in found]


class AsyncEvaluations:
    """Ordering evaluations, and finding them again."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def order(
        self,
        upload: str,
        *,
        model: str | None = None,
        dataset: str | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[EvaluationOptions],
    ) -> AsyncEvaluation:
        """Hold a model or a data set, one of the two, against an upload of real pairs.

        The options are the other fields of an evaluation.
        """
        body = steps.evaluation_body(upload, model, dataset, options)
        document = await self._client.run(steps.order(AsyncEvaluation.home, body, idempotency_key))
        return read(AsyncEvaluation, document, client=self._client)

    async def get(self, evaluation_id: str) -> AsyncEvaluation:
        document = await self._client.run(steps.get(f"{AsyncEvaluation.home}/{evaluation_id}"))
        return read(AsyncEvaluation, document, client=self._client)

    async def list(
        self, status: str | None = None, limit: int = NEWEST, model: str | None = None
    ) -> Sequence[AsyncEvaluation]:
        """The newest ones first; of one model, if its name@version is given."""
        found = await self._client.run(
            steps.pages(AsyncEvaluation.home, status, limit, model=model)
        )
        return [read(AsyncEvaluation, document, client=self._client) for document in found]


class AsyncModels:
    """The models that orders can name."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def get(self, model: str) -> AsyncModel:
        """By name@version, or by a name alone for its highest version."""
        document = await self._client.run(steps.get(f"/models/{model}"))
        return read(AsyncModel, document, client=self._client)

    async def list(self) -> Sequence[AsyncModel]:
        found = (await self._client.run(steps.get("/models")))["data"]
        return [read(AsyncModel, document, client=self._client) for document in found]

    async def compare(self, model: str, *others: str) -> Document:
        """Side by side: ``models``, and ``metrics``, each with a ``name`` and the models' ``values``."""
        return await self._client.run(
            steps.get(f"/models/{model}/compare", **{"with": ",".join(others)})
        )

    async def import_package(self, source: Path | str, on_bytes: OnBytes = quiet) -> AsyncModel:
        """Send a package: its folder, or one zip."""
        document = await in_thread(
            self._client, on_bytes, lambda client, tell: send_package(client, Path(source), tell)
        )
        return read(AsyncModel, document, client=self._client)

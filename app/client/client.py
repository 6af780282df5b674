"""The client for ordinary programs: every call returns when it is done."""

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from app.client import steps
from app.client.answers import Document, Quote, Usage, read
from app.client.calls import Call, Pause, Steps, T, http_options
from app.client.downloads import quiet
from app.client.errors import UnreachableError
from app.client.handles import Dataset, Evaluation, Model, TrainingRun, Upload
from app.client.steps import (
    Contents,
    EvaluationOptions,
    OnBytes,
    OrderOptions,
    RunOptions,
    UploadOptions,
)
from app.client.uploading import send_package, send_upload

NEWEST = 20  # of a list, if nothing else is asked for
KINDS: dict[str, type[Dataset | Upload | TrainingRun | Evaluation]] = {
    "ds": Dataset,
    "up": Upload,
    "tr": TrainingRun,
    "ev": Evaluation,
}


class Client:
    """Calls one service; a context manager that closes its connections.

    ``address`` is the service's, by default that of the environment's FUNDUSMITH_SERVICE or
    http://127.0.0.1:8000; ``key`` an API key for a service that asks for one, by default
    FUNDUSMITH_API_KEY; ``timeout`` how many seconds to wait for an answer.

    Threads may share it. Lost connections and a service that is busy are tried again for some
    seconds; orders have a key by which they are placed only once. But a service that never
    answered is not waited for.

    Every call raises ServiceError when the service refuses, UnreachableError when it does not answer.
    """

    def __init__(
        self, address: str | None = None, timeout: float = 30, key: str | None = None
    ) -> None:
        self._http = httpx.Client(**http_options(address, key, timeout))
        self._answered = False
        self.datasets = Datasets(self)
        self.uploads = Uploads(self)
        self.training_runs = TrainingRuns(self)
        self.evaluations = Evaluations(self)
        self.models = Models(self)

    @property
    def address(self) -> str:
        return str(self._http.base_url).rstrip("/")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def is_ready(self) -> bool:
        """Whether a service answers there and says that it can take orders."""
        try:
            return self._http.get("/readyz", timeout=2).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def job(self, job_id: str) -> Dataset | Upload | TrainingRun | Evaluation:
        """The data set, upload, training run or evaluation of this id.

        Raises:
            ValueError: the id is of none of them.
        """
        kind = KINDS.get(job_id.partition("_")[0])
        if kind is None:
            raise ValueError(f"{job_id!r} is no id: they start with {'_, '.join(KINDS)}_.")
        return read(kind, self.run(steps.get(f"{kind.home}/{job_id}")), client=self)

    def usage(self, days: int = 30) -> Usage:
        """What the owner of the key has used in the last days."""
        return read(Usage, self.run(steps.get("/usage", days=days)))

    def run(self, task: Steps[T]) -> T:
        """Take the task's steps, one after another, and return its result."""
        try:
            step = next(task)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = task.send(None)
                    continue
                answer = self._send(step)
                lost = isinstance(answer, httpx.TransportError)
                step = task.throw(answer) if lost else task.send(answer)
        except StopIteration as end:
            return end.value

    def _send(self, call: Call) -> Any:
        """The answer, or the error of a lost connection."""
        try:
            response = self._http.request(**call.arguments())
        except httpx.TransportError as error:
            if isinstance(error, httpx.ConnectError) and not self._answered:
                raise UnreachableError(f"No service answers at {self.address}.") from error
            return error
        self._answered = True
        return response


class Datasets:
    """Ordering data sets, and finding them again."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def order(
        self, count: int, *, idempotency_key: str | None = None, **options: Unpack[OrderOptions]
    ) -> Dataset:
        """Order ``count`` pairs; the options are the order's other fields.

        Orders with the same ``idempotency_key`` are one order, also from another process; it is drawn
        if not given.
        """
        body = steps.order_body(count, options)
        document = self._client.run(steps.order(Dataset.home, body, idempotency_key))
        return read(Dataset, document, client=self._client)

    def quote(self, count: int, **options: Unpack[OrderOptions]) -> Quote:
        """What the order would cost; nothing is ordered."""
        return read(Quote, self._client.run(steps.quote(steps.order_body(count, options))))

    def get(self, dataset_id: str) -> Dataset:
        document = self._client.run(steps.get(f"{Dataset.home}/{dataset_id}"))
        return read(Dataset, document, client=self._client)

    def list(self, status: str | None = None, limit: int = NEWEST) -> Sequence[Dataset]:
        """The newest ones first."""
        found = self._client.run(steps.pages(Dataset.home, status, limit))
        return [read(Dataset, document, client=self._client) for document in found]


class Uploads:
    """Sending maps and pairs, and finding them again."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        source: Path | str,
        kind: Contents = "pairs",
        on_bytes: OnBytes = quiet,
        **options: Unpack[UploadOptions],
    ) -> Upload:
        """Send a zip, or a folder as one; ``wait()`` then gives the report of its check.

        Raises:
            ClientError: there is nothing to send, or a link in the folder leads nowhere.
        """
        document = send_upload(self._client, Path(source), kind, on_bytes, options)
        return read(Upload, document, client=self._client)

    def get(self, upload_id: str) -> Upload:
        document = self._client.run(steps.get(f"{Upload.home}/{upload_id}"))
        return read(Upload, document, client=self._client)

    def list(self, status: str | None = None, limit: int = NEWEST) -> Sequence[Upload]:
        """The newest ones first, without their reports."""
        found = self._client.run(steps.pages(Upload.home, status, limit))
        return [read(Upload, document, client=self._client) for document in found]


class TrainingRuns:
    """Training models, and finding the runs again."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def start(
        self,
        upload: str,
        name: str,
        *,
        minutes: float | None = None,
        images: int | None = None,
        start_from: str | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[RunOptions],
    ) -> TrainingRun:
        """Train a model called ``name`` on an upload of pairs.

        The budget of each stage is in ``minutes`` or in ``images``; ``start_from`` names the model to
        go on from; the options are the other fields of a training run.
        """
        body = steps.run_body(upload, name, minutes, images, start_from, options)
        document = self._client.run(steps.order(TrainingRun.home, body, idempotency_key))
        return read(TrainingRun, document, client=self._client)

    def get(self, run_id: str) -> TrainingRun:
        document = self._client.run(steps.get(f"{TrainingRun.home}/{run_id}"))
        return read(TrainingRun, document, client=self._client)

    def list(self, status: str | None = None, limit: int = NEWEST) -> Sequence[TrainingRun]:
        """The newest ones first."""
        found = self._client.run(steps.pages(TrainingRun.home, status, limit))
        return [read(TrainingRun, document, client=self._client) for document in found]


class Evaluations:
    """Ordering evaluations, and finding them again."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def order(
        self,
        upload: str,
        *,
        model: str | None = None,
        dataset: str | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[EvaluationOptions],
    ) -> Evaluation:
        """Hold a model or a data set, one of the two, against an upload of real pairs.

        The options are the other fields of an evaluation.
        """
        body = steps.evaluation_body(upload, model, dataset, options)
        document = self._client.run(steps.order(Evaluation.home, body, idempotency_key))
        return read(Evaluation, document, client=self._client)

    def get(self, evaluation_id: str) -> Evaluation:
        document = self._client.run(steps.get(f"{Evaluation.home}/{evaluation_id}"))
        return read(Evaluation, document, client=self._client)

    def list(
        self, status: str | None = None, limit: int = NEWEST, model: str | None = None
    ) -> Sequence[Evaluation]:
        """The newest ones first; of one model, if its name@version is given."""
        found = self._client.run(steps.pages(Evaluation.home, status, limit, model=model))
        return [read(Evaluation, document, client=self._client) for document in found]


class Models:
    """The models that orders can name."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, model: str) -> Model:
        """By name@version, or by a name alone for its highest version."""
        document = self._client.run(steps.get(f"/models/{model}"))
        return read(Model, document, client=self._client)

    def list(self) -> Sequence[Model]:
        found = self._client.run(steps.get("/models"))["data"]
        return [read(Model, document, client=self._client) for document in found]

    def compare(self, model: str, *others: str) -> Document:
        """Side by side: ``models``, and ``metrics``, each with a ``name`` and the models' ``values``."""
        return self._client.run(steps.get(f"/models/{model}/compare", **{"with": ",".join(others)}))

    def import_package(self, source: Path | str, on_bytes: OnBytes = quiet) -> Model:
        """Send a package: its folder, or one zip."""
        document = send_package(self._client, Path(source), on_bytes)
        return read(Model, document, client=self._client)

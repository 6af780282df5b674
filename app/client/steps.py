"""Everything that can be asked of the service, as steps (see :mod:`app.client.calls`)."""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

from app.client.answers import ENDED, Document
from app.client.calls import PATIENT_TRIES, Call, Pause, Steps, insist

LONGEST_PAGE = 100
DEFAULT_PAUSE = 1.0  # seconds between two looks, where the service says none

Contents = Literal["maps", "pairs"]
Part = Literal[
    "measures",
    "real",
    "augmented",
    "synthetic",
    "fine-tuned",
    "mixed",
    "mixed-augmented",
    "rendered",
]
ImageRole = Literal["image", "label", "mask", "disc", "lesions"]
Network = Literal["u-net", "attention"]
OnBytes = Callable[[int, int], None]
"""Told how many bytes of a file have gone or come, and of how many."""


class OrderOptions(TypedDict, total=False):
    """The fields of an order but ``count``, as ``POST /datasets`` takes them."""

    resolution: int
    model: str
    seed: int
    splits: Mapping[str, float]
    layout: Literal["imagefolder", "drive", "webdataset"]
    image_format: Literal["png", "jpeg", "tiff"]
    volume_pairs: int
    style_seed: int
    eye: Literal["left", "right"]
    vessel_share: Mapping[str, float]
    minimum_quality: Mapping[str, float]
    not_like: Mapping[str, str | float]
    lesions: Literal["none", "mixed", "all"]
    masks: Sequence[Literal["disc", "lesions"]]
    maps: str
    deadline: datetime | str
    webhook: Mapping[str, str]


class UploadOptions(TypedDict, total=False):
    """How the check of an upload reads its labels, and whether photographs without one are taken."""

    unlabelled: bool
    vessel_values: Sequence[int | str]
    ignore_value: int | str


class RunOptions(TypedDict, total=False):
    """The fields of a training run but upload, name, budget and from."""

    stages: Literal["both", "vessel", "photo"]
    resolution: int
    seed: int
    settings: Mapping[str, Mapping[str, float]]
    data: Mapping[str, str]


class EvaluationOptions(TypedDict, total=False):
    """The fields of an evaluation but model, dataset and upload."""

    train: int | Sequence[str]
    hold_out: int | Sequence[str]
    pairs: int
    seeds: int
    steps: int
    seed: int
    copy_overlap: float
    network: Network
    only: Sequence[Part]


def get(path: str, **params: Any) -> Steps[Any]:
    return (yield from insist(Call("GET", path, params))).json()


def get_bytes(path: str) -> Steps[bytes]:
    return (yield from insist(Call("GET", path))).content


def act(method: str, path: str, body: Document | None = None) -> Steps[Any]:
    """A change that is the same however often it is asked for; what is there afterwards, if any."""
    response = yield from insist(Call(method, path, json=body))
    return response.json() if response.content else None


def order(path: str, body: Document, key: str | None = None) -> Steps[Document]:
    """Place an order, once, however often it has to be sent; ``key`` is drawn if not given."""
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return (yield from insist(Call("POST", path, json=body, headers=headers))).json()


def order_body(count: int, options: OrderOptions) -> Document:
    """The order as JSON; options that are None are left out."""
    body: Document = {"count": count}
    body |= {name: value for name, value in options.items() if value is not None}
    if isinstance(deadline := body.get("deadline"), datetime):
        body["deadline"] = deadline.astimezone().isoformat()
    return body


def run_body(
    upload: str,
    name: str,
    minutes: float | None,
    images: int | None,
    start_from: str | None,
    options: RunOptions,
) -> Document:
    body: Document = {"upload": upload, "name": name, "budget": budget(minutes, images)}
    if start_from is not None:
        body["from"] = start_from
    return body | {name: value for name, value in options.items() if value is not None}


def evaluation_body(
    upload: str, model: str | None, dataset: str | None, options: EvaluationOptions
) -> Document:
    given = {"model": model, "dataset": dataset, **options}
    return {"upload": upload} | {name: value for name, value in given.items() if value is not None}


def budget(minutes: float | None, images: int | None) -> Document:
    """What each stage may spend; the service refuses both at once, and neither."""
    given = {"minutes": minutes, "images": images}
    return {name: value for name, value in given.items() if value is not None}


def quote(body: Document) -> Steps[Document]:
    call = Call("POST", "/datasets", {"dry_run": "true"}, json=body)
    return (yield from insist(call)).json()


def pages(path: str, status: str | None, limit: int, **params: Any) -> Steps[list[Document]]:
    """The newest ``limit`` jobs, from as many pages as they are on."""
    found: list[Document] = []
    while len(found) < limit:
        page = yield from get(
            path,
            status=status,
            after=found[-1]["id"] if found else None,
            limit=min(LONGEST_PAGE, limit - len(found)),
            **params,
        )
        found += page["data"]
        if not page["has_more"]:
            break
    return found


def wait(
    path: str,
    on_look: Callable[[Document], None],
    poll_seconds: float | None,
    timeout: float | None,
) -> Steps[Document]:
    """Looks at the job until it has ended, however it ended; ``on_look`` is told of each change.

    The service says when the next look is worth while, unless ``poll_seconds`` does.

    Raises:
        TimeoutError: it has not ended after ``timeout`` seconds.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    document: Document = {}
    headers: dict[str, str] = {}
    while True:
        response = yield from insist(Call("GET", path, headers=headers), PATIENT_TRIES)
        if response.status_code != 304:
            document = response.json()
            on_look(document)
        if document["status"] in ENDED:
            return document
        if tag := response.headers.get("ETag"):
            headers = {"If-None-Match": tag}
        pause = poll_seconds or float(response.headers.get("Retry-After", DEFAULT_PAUSE))
        if deadline is not None:
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError(f"{path} is {document['status']} after {timeout:g} s")
            pause = min(pause, left)
        yield Pause(pause)


def metrics(path: str, stage: str, after: int) -> Steps[list[Document]]:
    """All lines of a stage that came after so many images."""
    lines: list[Document] = []
    while True:
        page = yield from get(f"{path}/metrics", stage=stage, after=after)
        lines += page["data"]
        if not page["has_more"]:
            return lines
        after = lines[-1]["images"]

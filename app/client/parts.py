"""Uploads by parts: several at a time, straight to the file store, gone on with after a break.

The upload is known by the digest of its zip: whoever sends the same zip again goes on with what has
come of it, and what is there already is not sent a second time.
"""

import hashlib
import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from app.client import steps
from app.client.answers import Document
from app.client.calls import Call, Steps, insist
from app.client.downloads import AT_ONCE, Runner
from app.client.errors import ServiceError
from app.client.steps import OnBytes

PIECE = 1 << 20  # bytes
LINKED = 8  # parts that addresses are asked for at a time: they hold for an hour only
GONE = {409, 410}  # the key stands for an upload that was deleted, or has expired


def send_parts(runner: Runner, file: Path, wanted: Document, on_bytes: OnBytes) -> Document:
    """Send the zip, or what has not come of it yet; the upload, which is then checked.

    ``wanted``: the other fields of the order, such as its kind.
    """
    size = file.stat().st_size
    body = {**wanted, "bytes": size, "sha256": _digest(file)}
    upload = _begin(runner, body)
    home = f"/uploads/{upload['id']}"
    if not upload["receiving"]:
        on_bytes(size, size)
        return upload
    received = runner.run(_received(home))
    missing = [n for n in range(1, upload["parts"]["count"] + 1) if n not in received]
    progress = _Progress(received, size, on_bytes)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for first in range(0, len(missing), LINKED):
            wanted = {"numbers": missing[first : first + LINKED]}
            links = runner.run(steps.act("POST", f"{home}/parts", wanted))["data"]
            sending = [_send_part(file, link, upload["parts"]["size"], progress) for link in links]
            for _ in pool.map(runner.run, sending):
                pass
    return runner.run(steps.act("POST", f"{home}/complete"))


def _begin(runner: Runner, body: Document) -> Document:
    """The upload of this zip that was begun before, or a new one."""
    key = f"{body['kind']}-{body['sha256']}"
    if options := {name: body[name] for name in sorted(body.keys() - {"kind", "bytes", "sha256"})}:
        # Read in another way it is another upload.
        key += f"-{hashlib.sha256(json.dumps(options).encode()).hexdigest()[:16]}"
    try:
        upload = runner.run(steps.order("/multipart-uploads", body, key))
        if upload["receiving"] or upload["status"] in ("queued", "running", "succeeded"):
            return upload
    except ServiceError as error:
        if error.status not in GONE:
            raise
    return runner.run(steps.order("/multipart-uploads", body, str(uuid.uuid4())))


def _received(home: str) -> Steps[dict[int, int]]:
    """Bytes of each part that has come, by its number."""
    found: dict[int, int] = {}
    while True:
        page = yield from steps.get(f"{home}/parts", after=max(found, default=0))
        found |= {part["number"]: part["bytes"] for part in page["data"]}
        if not page["has_more"]:
            return found


def _send_part(file: Path, link: Document, size: int, progress: "_Progress") -> Steps[None]:
    """PUT one part where its link says."""
    number, length = link["number"], link["bytes"]
    start = (number - 1) * size
    body = partial(_pieces, file, start, length, partial(progress.tell, number))
    headers = {"Content-Length": str(length)}
    yield from insist(Call("PUT", link["url"], headers=headers, body=body))


def _pieces(file: Path, start: int, length: int, tell: partial[None]) -> Iterator[bytes]:
    with file.open("rb") as opened:
        opened.seek(start)
        done = 0
        while piece := opened.read(min(PIECE, length - done)):
            yield piece
            done += len(piece)
            tell(done)


class _Progress:
    """Adds up what threads have sent; a part that is sent again counts once."""

    def __init__(self, received: dict[int, int], total: int, on_bytes: OnBytes) -> None:
        self._sent = dict(received)
        self._total = total
        self._on_bytes = on_bytes
        self._lock = threading.Lock()
        on_bytes(sum(received.values()), total)

    def tell(self, number: int, done: int) -> None:
        with self._lock:
            self._sent[number] = done
            self._on_bytes(sum(self._sent.values()), self._total)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

"""Sending uploads and packages: a zip as it is, or a folder as a zip."""

import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.client.answers import Document
from app.client.calls import Call, Steps, insist
from app.client.downloads import Runner
from app.client.errors import ClientError
from app.client.parts import PIECE, send_parts
from app.client.steps import Contents, OnBytes, UploadOptions

PARTS_FROM = 32 << 20  # bytes; a shorter zip is sent as one body


def send_upload(
    runner: Runner,
    source: Path,
    kind: Contents,
    on_bytes: OnBytes,
    options: UploadOptions | None = None,
) -> Document:
    """Send maps or pairs, a folder or a zip of them; a large one by parts.

    Raises:
        ClientError: there is nothing to send, or a link in the folder leads nowhere.
    """
    with _as_zip(source.expanduser()) as file:
        if file.stat().st_size >= PARTS_FROM:
            return send_parts(runner, file, {"kind": kind, **(options or {})}, on_bytes)
        return runner.run(_send("/uploads", file, {"kind": kind, **(options or {})}, on_bytes))


def send_package(runner: Runner, source: Path, on_bytes: OnBytes) -> Document:
    """Send a model package, its folder or a zip of it.

    Raises:
        ClientError: there is nothing to send.
    """
    with _as_zip(source.expanduser()) as file:
        return runner.run(_send("/models", file, {}, on_bytes))


def _send(path: str, file: Path, params: Document, on_bytes: OnBytes) -> Steps[Document]:
    """Send a zip as the body. What may have arrived is not sent again: the service would keep both."""
    headers = {"Content-Type": "application/zip", "Content-Length": str(file.stat().st_size)}
    call = Call(
        "POST",
        path,
        params,
        headers=headers,
        body=lambda: _pieces(file, on_bytes),
        repeatable=False,
    )
    return (yield from insist(call)).json()


@contextmanager
def _as_zip(source: Path) -> Iterator[Path]:
    """The zip itself; or a folder's files as one, which is there for as long as the block lasts.

    Hidden files are left out, and linked ones are sent. Raises ClientError if there is nothing to send, or a
    link leads nowhere.
    """
    if source.is_file():
        yield source
        return
    files = sorted(_files(source))
    if not files:
        raise ClientError(
            f"{source}: there is no file in it."
            if source.exists()
            else f"{source}: there is no such file or folder."
        )
    with tempfile.TemporaryDirectory(prefix="fundusmith-") as scratch:
        target = Path(scratch) / f"{source.resolve().name}.zip"
        with zipfile.ZipFile(target, "w", strict_timestamps=False) as archive:
            for path in files:
                archive.write(path, path.relative_to(source).as_posix())
        yield target


def _files(source: Path) -> Iterator[Path]:
    """The files of a folder and of the folders that it links to, each folder once on its way down."""
    above: dict[str, frozenset[Path]] = {str(source): frozenset()}
    for folder, folders, names in os.walk(source, followlinks=True):
        path = Path(folder)
        seen = above[folder] | {path.resolve()}
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and (path / name).resolve() not in seen
        ]
        above |= {os.path.join(folder, name): seen for name in folders}
        for name in names:
            if name.startswith("."):
                continue
            if not (path / name).exists():
                raise ClientError(
                    f"{path / name}: a link to {(path / name).readlink()}, which is not there."
                )
            if (path / name).is_file():
                yield path / name


def _pieces(path: Path, on_bytes: OnBytes) -> Iterator[bytes]:
    """The file as it is sent; ``on_bytes`` is told what has gone."""
    total, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
            done += len(piece)
            on_bytes(done, total)

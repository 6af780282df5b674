"""Downloads that go on where they were cut off, and are checked before they are believed.

A file comes in pieces, several at a time, and is written in order to ``NAME.TAG.part``: its length is
always how far it has come, and its tag says of which content it is a part. It gets its own name when
it is whole and right.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import httpx

from app.client.answers import DatasetAnswer, Volume
from app.client.calls import Call, Steps, T, insist
from app.client.contents import check_archive, unpack
from app.client.errors import ClientError, JobFailedError
from app.client.steps import OnBytes

PIECE = 4 << 20  # bytes
AT_ONCE = 4  # pieces on their way


class Runner(Protocol):
    """Whoever takes steps; from several threads at once."""

    def run(self, steps: Steps[T]) -> T: ...


def quiet(done: int, total: int) -> None:
    """Tells nobody."""


def download_dataset(
    runner: Runner,
    dataset: DatasetAnswer,
    to: Path | str,
    on_bytes: OnBytes = quiet,
    unpacked: bool = False,
) -> list[Path]:
    """Fetch the archive's volumes to ``to``: a folder, or the name of a file, which ends in .zip.

    What is there already and right is not fetched again. Several volumes are numbered. With
    ``unpacked`` all are also unpacked, into a folder beside them. Returns the zips.

    Raises:
        JobFailedError: the job has ended without an archive.
        ClientError: it has not ended yet.
        DamagedError: what came is not what was made; it is removed.
    """
    if dataset.archive is None:
        if dataset.ended:
            raise JobFailedError(dataset)
        raise ClientError(f"{dataset.id} is {dataset.status}: there is nothing to download yet.")
    volumes = dataset.archive.volumes
    several = len(volumes) > 1 or dataset.request.get("volume_pairs") is not None
    first = archive_path(dataset.id, to)
    paths, done = [], 0
    for volume in volumes:
        path = first.with_stem(f"{first.stem}-{volume.number:03d}") if several else first
        _fetch_volume(runner, dataset, volume, path, _from(on_bytes, done, dataset.archive.bytes))
        done += volume.bytes
        paths.append(path)
    if unpacked:
        for path in paths:
            unpack(path, first.with_suffix(""))
    return paths


def archive_path(name: str, to: Path | str) -> Path:
    """Where a zip goes: to the file that ``to`` names, or as NAME.zip into that folder."""
    to = Path(to).expanduser()
    return to if to.suffix == ".zip" else to / f"{name}.zip"


def _from(on_bytes: OnBytes, done: int, total: int) -> OnBytes:
    return lambda bytes_, _: on_bytes(done + bytes_, total)


def _fetch_volume(
    runner: Runner, dataset: DatasetAnswer, volume: Volume, path: Path, on_bytes: OnBytes
) -> None:
    digest = volume.manifest_sha256

    def check(file: Path) -> None:
        check_archive(file, digest, volume.bytes)

    if path.exists():
        try:
            check(path)
        except ClientError:
            pass  # another archive of that name
        else:
            on_bytes(volume.bytes, volume.bytes)
            return
    fetch(runner, f"{dataset.path}/download?volume={volume.number}", path, check, on_bytes)


def fetch(
    runner: Runner,
    url: str,
    path: Path,
    check: Callable[[Path], None],
    on_bytes: OnBytes = quiet,
) -> None:
    """Fetch a file to ``path``, from where an interrupted download of the same content has come to.

    ``check`` raises what is wrong with the finished file, which is then removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    etag, total = runner.run(_measure(url))
    tag = hashlib.sha256(etag.encode()).hexdigest()[:12]
    part = path.with_name(f"{path.name}.{tag}.part")
    for other in path.parent.glob(f"{path.name}.*.part"):
        if other != part:
            other.unlink()  # of what was there before
    with part.open("ab") as file:
        if file.tell() > total:
            file.truncate(0)
        done = file.tell()
        on_bytes(done, total)
        starts = iter(range(done, total, PIECE))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            waiting: deque[Future[bytes]] = deque()
            try:
                while True:
                    while len(waiting) < AT_ONCE and (start := next(starts, None)) is not None:
                        end = min(start + PIECE, total)
                        waiting.append(pool.submit(runner.run, _piece(url, etag, start, end)))
                    if not waiting:
                        break
                    file.write(waiting.popleft().result())
                    on_bytes(file.tell(), total)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    try:
        check(part)
    except ClientError:
        part.unlink()
        raise
    part.replace(path)


def _measure(url: str) -> Steps[tuple[str, int]]:
    """The file's entity tag and length, by asking for its first byte: a link allows GET alone."""
    response = yield from insist(Call("GET", url, headers={"Range": "bytes=0-0"}))
    _, _, total = response.headers.get("Content-Range", "").rpartition("/")
    etag = response.headers.get("ETag")
    if response.status_code != 206 or etag is None or not total.isdecimal():
        raise ClientError(
            f"{response.url.host} does not give parts of files, which is needed here."
        )
    return etag, int(total)


def _piece(url: str, etag: str, start: int, end: int) -> Steps[bytes]:
    headers = {"Range": f"bytes={start}-{end - 1}", "If-Range": etag}
    response: httpx.Response = yield from insist(Call("GET", url, headers=headers))
    if response.status_code != 206 or len(response.content) != end - start:
        raise ClientError("The file has changed while it was downloaded. Download it again.")
    return response.content

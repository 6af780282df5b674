"""What every storage does, tried on a folder and on an S3 server; then what one of them does."""

import secrets
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from app.settings import Settings
from app.storage import (
    FolderStorage,
    Storage,
    StorageKeyError,
    StorageUnavailableError,
    open_storage,
)
from app.storage.multipart import PART_BYTES, SMALLEST_PART
from app.storage.s3 import S3Storage
from tests.servers import BUCKET


def put(storage: Storage, key: str, data: bytes) -> None:
    with storage.write(key) as file:
        file.write(data)


def test_what_was_written_is_read(storage: Storage) -> None:
    put(storage, "a/b", b"0123456789")
    assert storage.size("a/b") == 10
    assert storage.read("a/b") == b"0123456789"
    assert storage.read("a/b", 3) == b"3456789"
    assert storage.read("a/b", 3, 4) == b"3456"
    assert storage.read("a/b", 8, 4) == b"89"
    assert list(storage.stream("a/b", chunk=4)) == [b"0123", b"4567", b"89"]
    assert storage.read("a/b", 2, 5) == b"23456"


def test_an_object_appears_whole_or_not_at_all(storage: Storage) -> None:
    with storage.write("a/b") as file:
        file.write(b"half")
        file.flush()
        assert storage.list() == []
        with pytest.raises(StorageKeyError):
            storage.size("a/b")
    assert storage.list() == ["a/b"]


def test_a_failed_write_leaves_nothing_and_keeps_the_old(storage: Storage) -> None:
    put(storage, "a/b", b"old")
    with pytest.raises(RuntimeError), storage.write("a/b") as file:
        file.write(b"new")
        raise RuntimeError
    assert storage.read("a/b") == b"old"
    assert storage.list() == ["a/b"]


def test_writing_again_replaces(storage: Storage) -> None:
    put(storage, "a", b"old and long")
    put(storage, "a", b"new")
    assert storage.read("a") == b"new"


def test_a_reader_keeps_the_object_it_began(storage: Storage) -> None:
    put(storage, "a", b"old")
    reading = storage.stream("a", chunk=1)
    first = next(reading)
    put(storage, "a", b"new")
    assert first + b"".join(reading) == b"old"


def test_concatenate_joins_objects_and_bytes(storage: Storage) -> None:
    put(storage, "one", b"1")
    put(storage, "two", b"22")
    storage.concatenate("all", ["one", b"-", "two", b"", "one"])
    assert storage.read("all") == b"1-221"


def test_concatenate_of_a_missing_piece_makes_nothing(storage: Storage) -> None:
    put(storage, "one", b"1")
    with pytest.raises(StorageKeyError, match="two"):
        storage.concatenate("all", ["one", "two"])
    assert storage.list() == ["one"]


def test_deleting(storage: Storage) -> None:
    for key in ("jobs/1/a", "jobs/1/deep/b", "jobs/12/a"):
        put(storage, key, b"x")
    storage.delete("jobs/1/a")
    storage.delete("jobs/1/a")
    assert storage.list("jobs/1/") == ["jobs/1/deep/b"]
    storage.delete_prefix("jobs/1/")
    storage.delete_prefix("jobs/1/")
    assert storage.list() == ["jobs/12/a"]


def test_deleting_a_prefix_ends_a_write_that_nobody_waits_for(storage: Storage) -> None:
    with pytest.raises(OSError), storage.write("jobs/1/late") as file:
        file.write(bytes(2 * PART_BYTES))  # so much that S3 has got a part of it
        storage.delete_prefix("jobs/1/")
    assert storage.list() == []


def test_a_prefix_must_end_a_name(storage: Storage) -> None:
    with pytest.raises(ValueError, match="end in '/'"):
        storage.delete_prefix("jobs/1")


def test_only_a_folder_has_files(storage: Storage) -> None:
    put(storage, "a/b", b"x")
    path = storage.path("a/b")
    if isinstance(storage, FolderStorage):
        assert path is not None
        assert path.read_bytes() == b"x"
        for key in ("missing", "a", "a/b/c"):
            with pytest.raises(StorageKeyError, match=f"'{key}'"):
                storage.path(key)
    else:
        assert path is None


@pytest.mark.parametrize("key", ["missing", "a", "a/b/c"])
def test_what_is_not_there_is_named(storage: Storage, key: str) -> None:
    put(storage, "a/b", b"x")
    for look in (storage.read, storage.size, lambda key: list(storage.stream(key))):
        with pytest.raises(StorageKeyError, match=f"'{key}'"):
            look(key)


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../out", "a/../../out", "a//b", "a/", ".", "a\\b", "a/.part", "\0"]
)
def test_keys_never_leave_the_folder(storage: Storage, key: str) -> None:
    with pytest.raises(StorageKeyError), storage.write(key):
        pass
    for look in (storage.read, storage.size, storage.delete):
        with pytest.raises(StorageKeyError):
            look(key)


def test_large_objects_arrive_whole(storage: Storage) -> None:
    data = secrets.token_bytes(2 * PART_BYTES + 12345)
    with storage.write("large") as file:
        for start in range(0, len(data), 1_000_003):
            file.write(data[start : start + 1_000_003])
    assert storage.size("large") == len(data)
    assert storage.read("large") == data
    assert storage.read("large", 777, PART_BYTES) == data[777 : 777 + PART_BYTES]


def test_concatenate_joins_pieces_of_every_size(storage: Storage) -> None:
    sizes = [10, SMALLEST_PART + 3, 0, 4 << 20, 2 << 20, SMALLEST_PART, 6 << 20, 6 << 20, 1]
    pieces = [secrets.token_bytes(size) for size in sizes]
    for i, piece in enumerate(pieces):
        put(storage, f"pieces/{i}", piece)
    storage.concatenate("all", [*(f"pieces/{i}" for i in range(len(pieces))), b"the end"])
    assert storage.read("all") == b"".join(pieces) + b"the end"


def put_part(storage: Storage, upload: str, number: int, data: bytes) -> None:
    with storage.write_part("jobs/1/a", upload, number) as file:
        file.write(data)


def test_parts_come_in_any_order_and_make_one_object(storage: Storage) -> None:
    upload = storage.begin_parts("jobs/1/a")
    assert storage.parts("jobs/1/a", upload) == {}
    first, second, wrong = (secrets.token_bytes(SMALLEST_PART) for _ in range(3))
    for number, data in ((3, b"end"), (2, wrong), (1, first), (2, second)):
        put_part(storage, upload, number, data)
    with pytest.raises(RuntimeError), storage.write_part("jobs/1/a", upload, 4) as file:
        file.write(b"half")
        raise RuntimeError
    assert storage.parts("jobs/1/a", upload, most=2) == {1: SMALLEST_PART, 2: SMALLEST_PART}
    assert storage.parts("jobs/1/a", upload, after=2) == {3: 3}
    assert storage.list() == []
    storage.join_parts("jobs/1/a", upload)
    assert storage.list() == ["jobs/1/a"]
    assert storage.read("jobs/1/a") == first + second + b"end"
    refuses_parts(storage, upload)
    storage.delete_prefix("jobs/1/")
    assert storage.discard_unfinished(datetime.now(UTC) + timedelta(hours=1)) == 0


@pytest.mark.parametrize("by_prefix", [True, False])
def test_parts_of_what_was_given_up_are_removed(storage: Storage, by_prefix: bool) -> None:
    upload = storage.begin_parts("jobs/1/a")
    put_part(storage, upload, 1, b"x")
    if by_prefix:
        storage.delete_prefix("jobs/1/")
        refuses_parts(storage, upload)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert storage.discard_unfinished(later) == (0 if by_prefix else 1)
    assert storage.list() == []


def refuses_parts(storage: Storage, upload: str) -> None:
    for call in (storage.parts, storage.join_parts):
        with pytest.raises(StorageKeyError, match="no parts"):
            call("jobs/1/a", upload)
    with pytest.raises(StorageKeyError, match="no parts"):
        put_part(storage, upload, 1, b"late")


def test_the_settings_name_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    storage = open_storage(Settings(data_dir=tmp_path, storage_url=folder.as_uri()))
    with storage.write("a") as file:
        file.write(b"x")
    assert (folder / "a").read_bytes() == b"x"
    assert storage.link("a", "a.zip", "application/zip") is None


def test_a_failed_write_leaves_no_part_in_the_folder(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    with pytest.raises(RuntimeError), storage.write("a/b") as file:
        file.write(b"new")
        raise RuntimeError
    assert list((tmp_path / "a").iterdir()) == []


def test_what_was_abandoned_long_ago_is_removed(storage: Storage) -> None:
    abandoned = storage.write("jobs/1/b")  # as by a worker that was killed
    abandoned.__enter__().write(bytes(2 * PART_BYTES))
    put(storage, "jobs/1/a", b"x")
    now = datetime.now(UTC)
    assert storage.discard_unfinished(now - timedelta(hours=1)) == 0
    assert storage.discard_unfinished(now + timedelta(hours=1)) == 1
    assert storage.discard_unfinished(now + timedelta(hours=1)) == 0
    assert storage.list() == ["jobs/1/a"]


# --- S3 -------------------------------------------------------------------------------------------


@pytest.fixture
def s3(s3_address: str, tmp_path: Path) -> S3Storage:
    url = f"s3://{BUCKET}/prefix/{secrets.token_hex(4)}"
    settings = Settings(data_dir=tmp_path, storage_url=url, s3_endpoint_url=s3_address)
    storage = open_storage(settings)
    assert isinstance(storage, S3Storage)
    return storage


class Calls(Counter[str]):
    """Counts the calls of a storage by operation."""

    def __init__(self, storage: S3Storage) -> None:
        super().__init__()
        storage._client.meta.events.register("before-call.s3", self._count)

    def _count(self, model: object, **_: object) -> None:
        self[model.name] += 1  # type: ignore[attr-defined]


def test_what_is_large_enough_is_joined_within_the_server(s3: S3Storage) -> None:
    for name in ("one", "two", "three"):
        put(s3, name, secrets.token_bytes(SMALLEST_PART))
    put(s3, "tail", b"tail")
    calls = Calls(s3)
    s3.concatenate("all", ["one", "two", "three", "tail"])
    assert calls["UploadPartCopy"] == 3
    assert calls["GetObject"] == 1  # the tail's


def test_failed_uploads_leave_no_parts_to_pay_for(s3: S3Storage, s3_address: str) -> None:
    with pytest.raises(RuntimeError), s3.write("jobs/1/a") as file:
        file.write(bytes(2 * PART_BYTES))
        raise RuntimeError
    abandoned = s3.write("jobs/1/b")  # as by a worker that was killed
    abandoned.__enter__().write(bytes(2 * PART_BYTES))
    client = boto3.client("s3", endpoint_url=s3_address)

    def uploads() -> list[str]:
        found = client.list_multipart_uploads(Bucket=BUCKET, Prefix=s3._prefix)
        return [upload["Key"].removeprefix(s3._prefix) for upload in found.get("Uploads", [])]

    assert uploads() == ["jobs/1/b"]
    s3.delete_prefix("jobs/1/")
    assert uploads() == []


def test_a_link_gives_the_file_under_its_name_to_anyone(s3: S3Storage) -> None:
    put(s3, "a", b"zip")
    link = s3.link("a", "ds_1.zip", "application/zip")
    assert link is not None
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"zip"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="ds_1.zip"'
        assert answer.headers["Content-Type"] == "application/zip"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(link.replace("X-Amz-Signature=", "X-Amz-Signature=0"))


def send_to(link: str, data: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(link, data, method="PUT")):
        pass


def test_a_part_link_takes_a_part_of_its_length_from_anyone(s3: S3Storage) -> None:
    upload = s3.begin_parts("jobs/1/a")
    link = s3.part_link("jobs/1/a", upload, 1, 5)
    assert link is not None
    for data in (b"four", b"longer"):
        with pytest.raises(urllib.error.HTTPError):
            send_to(link, data)
    with pytest.raises(urllib.error.HTTPError):
        send_to(link.replace("partNumber=1", "partNumber=2"), b"right")
    assert s3.parts("jobs/1/a", upload) == {}
    send_to(link, b"right")
    s3.join_parts("jobs/1/a", upload)
    assert s3.read("jobs/1/a") == b"right"
    with pytest.raises(urllib.error.HTTPError):
        send_to(link, b"again")


def test_a_link_has_the_public_address(s3_address: str) -> None:
    storage = S3Storage(BUCKET, "p", s3_address, "https://files.example.org")
    links = storage.link("a", "a.zip", "application/zip"), storage.part_link("a", "x", 1, 5)
    assert all(link and link.startswith("https://files.example.org/") for link in links)


def test_prefixes_do_not_see_each_other(s3_address: str) -> None:
    name = secrets.token_hex(4)
    one, two = (
        S3Storage(BUCKET, f"{name}/1", s3_address),
        S3Storage(BUCKET, f"{name}/12", s3_address),
    )
    put(one, "jobs/1/a", b"1")
    put(two, "jobs/1/a", b"2")
    one.delete_prefix("jobs/1/")
    assert (one.list(), two.list()) == ([], ["jobs/1/a"])


def test_a_missing_bucket_is_no_missing_object(s3_address: str) -> None:
    with pytest.raises(StorageUnavailableError, match="bucket"):
        S3Storage("no-such-bucket", "p", s3_address).read("a")


def test_a_reader_goes_on_after_a_broken_connection(
    s3: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = secrets.token_bytes(300_000)
    put(s3, "a", data)
    whole = s3._get

    def broken(*arguments: object) -> dict[str, Any]:
        answer: Any = whole(*arguments)  # type: ignore[arg-type]
        body = answer["Body"]

        def pieces(chunk: int) -> Iterator[bytes]:
            yield body.read(100_000)
            body.close()
            raise ConnectionResetError("reset by peer")

        answer["Body"] = SimpleNamespace(iter_chunks=pieces)
        return answer

    monkeypatch.setattr(s3, "_get", broken)
    assert s3.read("a") == data

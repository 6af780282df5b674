from pathlib import Path

import pytest

from app.settings import Settings
from app.storage import FolderStorage, StorageKeyError, open_storage


def put(storage: FolderStorage, key: str, data: bytes) -> None:
    with storage.write(key) as file:
        file.write(data)


def test_what_was_written_is_read(storage: FolderStorage) -> None:
    put(storage, "a/b", b"0123456789")
    assert storage.size("a/b") == 10
    assert storage.read("a/b") == b"0123456789"
    assert storage.read("a/b", 3) == b"3456789"
    assert storage.read("a/b", 3, 4) == b"3456"
    assert storage.read("a/b", 8, 4) == b"89"
    assert list(storage.stream("a/b", chunk=4)) == [b"0123", b"4567", b"89"]
    assert list(storage.stream("a/b", 2, 5, chunk=4)) == [b"2345", b"6"]


def test_an_object_appears_whole_or_not_at_all(storage: FolderStorage) -> None:
    with storage.write("a/b") as file:
        file.write(b"half")
        file.flush()
        assert storage.list() == []
        with pytest.raises(StorageKeyError):
            storage.size("a/b")
    assert storage.list() == ["a/b"]


def test_a_failed_write_leaves_nothing_and_keeps_the_old(storage: FolderStorage) -> None:
    put(storage, "a/b", b"old")
    with pytest.raises(RuntimeError), storage.write("a/b") as file:
        file.write(b"new")
        raise RuntimeError
    assert storage.read("a/b") == b"old"
    assert [path.name for path in (storage.root / "a").iterdir()] == ["b"]


def test_writing_again_replaces(storage: FolderStorage) -> None:
    put(storage, "a", b"old and long")
    put(storage, "a", b"new")
    assert storage.read("a") == b"new"


def test_a_reader_keeps_the_object_it_began(storage: FolderStorage) -> None:
    put(storage, "a", b"old")
    reading = storage.stream("a", chunk=1)
    first = next(reading)
    put(storage, "a", b"new")
    assert first + b"".join(reading) == b"old"


def test_concatenate_joins_objects_and_bytes(storage: FolderStorage) -> None:
    put(storage, "one", b"1")
    put(storage, "two", b"22")
    storage.concatenate("all", ["one", b"-", "two", b"", "one"])
    assert storage.read("all") == b"1-221"


def test_concatenate_of_a_missing_piece_makes_nothing(storage: FolderStorage) -> None:
    put(storage, "one", b"1")
    with pytest.raises(StorageKeyError, match="two"):
        storage.concatenate("all", ["one", "two"])
    assert storage.list() == ["one"]


def test_deleting(storage: FolderStorage) -> None:
    for key in ("jobs/1/a", "jobs/1/deep/b", "jobs/12/a"):
        put(storage, key, b"x")
    storage.delete("jobs/1/a")
    storage.delete("jobs/1/a")
    assert storage.list("jobs/1/") == ["jobs/1/deep/b"]
    storage.delete_prefix("jobs/1/")
    storage.delete_prefix("jobs/1/")
    assert storage.list() == ["jobs/12/a"]


def test_deleting_a_prefix_ends_a_write_that_nobody_waits_for(storage: FolderStorage) -> None:
    with pytest.raises(FileNotFoundError), storage.write("jobs/1/late") as file:
        file.write(b"x")
        storage.delete_prefix("jobs/1/")
    assert storage.list() == []


def test_a_prefix_must_end_a_name(storage: FolderStorage) -> None:
    with pytest.raises(ValueError, match="end in '/'"):
        storage.delete_prefix("jobs/1")


@pytest.mark.parametrize("key", ["missing", "a", "a/b/c"])
def test_what_is_not_there_is_named(storage: FolderStorage, key: str) -> None:
    put(storage, "a/b", b"x")
    for look in (storage.read, storage.size, lambda key: list(storage.stream(key))):
        with pytest.raises(StorageKeyError, match=f"'{key}'"):
            look(key)


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../out", "a/../../out", "a//b", "a/", ".", "a\\b", "a/.part", "\0"]
)
def test_keys_never_leave_the_folder(storage: FolderStorage, key: str) -> None:
    with pytest.raises(StorageKeyError), storage.write(key):
        pass
    for look in (storage.read, storage.size, storage.delete):
        with pytest.raises(StorageKeyError):
            look(key)


def test_the_settings_name_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    storage = open_storage(Settings(data_dir=tmp_path, storage_url=folder.as_uri()))
    with storage.write("a") as file:
        file.write(b"x")
    assert (folder / "a").read_bytes() == b"x"

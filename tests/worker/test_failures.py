"""What users are told of each thing that can go wrong."""

from pathlib import Path

import boto3
import pytest

from app.storage import StorageUnavailableError, s3
from app.storage.folder import FolderStorage
from app.storage.s3 import S3Storage
from worker.failures import explain


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), "out_of_memory", "too little memory"),
        (OSError(28, "No space left on device"), "storage_failed", "the disk is full"),
        (PermissionError(13, "Permission denied", "/srv/x"), "storage_failed", "may not write"),
        (OSError(5, "Input/output error", "/srv/x"), "storage_failed", "Input/output error"),
        (OSError(), "storage_failed", "did not say why"),
        (KeyError("x"), "internal_error", "an error of its own"),
    ],
)
def test_codes_and_words(error: Exception, code: str, words: str) -> None:
    failure = explain(error)
    assert (failure.code, failure.final) == (code, False)
    assert words in failure.detail and "/srv/x" not in failure.detail


def write(storage: S3Storage | FolderStorage) -> str:
    """What users are told of a write that fails."""
    with pytest.raises(OSError) as caught, storage.write("jobs/ds_1/x") as file:
        file.write(b"x")
    failure = explain(caught.value)
    assert failure.code == "storage_failed"
    for inside in ("127.0.0.1", "nowhere", "jobs/", "PutObject", "put_object"):
        assert inside not in failure.detail
    return failure.detail


def test_a_file_store_that_does_not_answer(
    s3_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = s3.CONFIG.merge(type(s3.CONFIG)(retries={"total_max_attempts": 1}))
    monkeypatch.setattr(s3, "CONFIG", once)
    assert "it cannot be reached" in write(S3Storage("nowhere", endpoint_url="http://127.0.0.1:1"))


def test_a_file_store_without_the_bucket(s3_address: str) -> None:
    assert "its bucket is not there" in write(S3Storage("nowhere", endpoint_url=s3_address))


def test_a_file_store_that_refuses_the_key(
    s3_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the credentials it has found
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    assert "refuses the service's credentials" in write(
        S3Storage("nowhere", endpoint_url=s3_address)
    )


def test_a_file_store_that_has_been_given_no_key(
    s3_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert "no credentials" in write(S3Storage("nowhere", endpoint_url=s3_address))


def test_those_who_run_the_service_are_told_more(s3_address: str) -> None:
    storage = S3Storage("nowhere", endpoint_url=s3_address)
    with pytest.raises(StorageUnavailableError, match="NoSuchBucket"):
        storage.list()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    (tmp_path / "jobs").write_text("in the way")
    assert "Reading or writing failed: " in write(storage)

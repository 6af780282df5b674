"""Storage in a bucket of S3 or a server that speaks its protocol.

An object is sent in parts while it is being written, several at a time, and appears when all of
them have arrived. Objects are joined within the server by UploadPartCopy: their bytes do not pass
through this process, but for pieces smaller than S3 takes as a part.
"""

import io
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from app.storage.errors import StorageUnavailableError
from app.storage.keys import CHUNK, check_prefix, names_of, nothing_stored

logger = logging.getLogger(__name__)

PART_BYTES = 8 << 20  # of an object that is being written
SMALLEST_PART = 5 << 20  # S3 takes no smaller one but the last
LARGEST_COPY = 1 << 30  # of one UploadPartCopy; S3 allows five times as much
PARTS_IN_FLIGHT = 4
LINK_SECONDS = 3600
READ_ATTEMPTS = 5

# Standard mode retries 500s, 503s and broken connections, with jitter between growing bounds.
CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 8},
    connect_timeout=5,
    read_timeout=60,
    max_pool_connections=4 * PARTS_IN_FLIGHT,
    signature_version="s3v4",
    s3={"addressing_style": "auto"},
)


UNREACHABLE = "it cannot be reached"
# What users are told of an error code. Servers differ in their codes for one thing.
REASONS = {
    **dict.fromkeys(
        ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "403"),
        "it refuses the service's credentials",
    ),
    "NoSuchBucket": "its bucket is not there",
    **dict.fromkeys(
        ("InternalError", "ServiceUnavailable", "SlowDown", "500", "503"),
        "it is overloaded or out of order",
    ),
    **dict.fromkeys(
        ("InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "507"), "it is full"
    ),
}


class S3Storage:
    """Objects of a bucket whose keys begin with a prefix. Credentials are found the boto3 way.

    ``endpoint_url`` is the server, AWS if None; ``public_endpoint_url`` is that server's address for
    users, where it differs.
    """

    smallest_piece = SMALLEST_PART

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        endpoint_url: str | None = None,
        public_endpoint_url: str | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = boto3.client("s3", endpoint_url=endpoint_url, config=CONFIG)
        self._public_client = (
            boto3.client("s3", endpoint_url=public_endpoint_url, config=CONFIG)
            if public_endpoint_url
            else self._client
        )

    @contextmanager
    def write(self, key: str) -> Iterator[BinaryIO]:
        with _Upload(self._call, self._place(key)) as upload:
            writer = _PartWriter(upload)
            yield writer  # type: ignore[misc]  # a BufferedIOBase has all that a writer needs
            writer.finish()

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return b"".join(self.stream(key, start, length))

    def stream(
        self, key: str, start: int = 0, length: int | None = None, chunk: int = CHUNK
    ) -> Iterator[bytes]:
        place, etag, failures = self._place(key), None, 0
        stop = None if length is None else start + length
        while stop is None or start < stop:
            # A connection may break in the middle: the next one goes on there, in the same object.
            answer = self._get(key, place, start, stop, etag)
            if answer is None:
                return
            etag = answer["ETag"]
            stop = start + answer["ContentLength"]
            try:
                for piece in answer["Body"].iter_chunks(chunk):
                    start += len(piece)
                    yield piece
            except (BotoCoreError, OSError) as error:
                failures += 1
                if failures == READ_ATTEMPTS:
                    raise StorageUnavailableError(
                        f"reading {key!r}: {error}", UNREACHABLE
                    ) from error

    def _get(
        self, key: str, place: dict[str, str], start: int, stop: int | None, etag: str | None
    ) -> dict[str, Any] | None:
        """The answer to a GET of a range; None if the object ends before it."""
        wanted = f"bytes={start}-{'' if stop is None else stop - 1}"
        same = {"IfMatch": etag} if etag else {}
        try:
            return self._call("get_object", **place, Range=wanted, **same)
        except _Refusal as refusal:
            if refusal.code == "InvalidRange":
                return None
            raise refusal.about(key) from refusal

    def size(self, key: str) -> int:
        try:
            return self._call("head_object", **self._place(key))["ContentLength"]
        except _Refusal as refusal:
            raise refusal.about(key) from refusal

    def concatenate(self, key: str, pieces: Sequence[str | bytes]) -> None:
        with _Upload(self._call, self._place(key)) as upload:
            small = bytearray()  # what is not yet enough for a part
            for piece in pieces:
                if isinstance(piece, bytes):
                    small += piece
                else:
                    self._append(upload, small, piece)
                while len(small) > PART_BYTES:
                    upload.send(bytes(small[:PART_BYTES]))
                    del small[:PART_BYTES]
            upload.finish(bytes(small))

    def _append(self, upload: "_Upload", small: bytearray, source: str) -> None:
        """Adds a stored object: by copying, except for what must fill up a part."""
        size, start = self.size(source), 0
        if small:
            lacking = max(0, SMALLEST_PART - len(small))
            # What stays behind must be enough for a part of its own.
            if size - lacking < SMALLEST_PART:
                lacking = size
            small += self.read(source, 0, lacking)
            start = lacking
        elif size < SMALLEST_PART:
            small += self.read(source)
            start = size
        if start == size:
            return
        if small:
            upload.send(bytes(small))
            small.clear()
        while start < size:
            stop = size if size - start < LARGEST_COPY + SMALLEST_PART else start + LARGEST_COPY
            upload.copy(self._place(source), start, stop)
            start = stop

    def delete(self, key: str) -> None:
        self._call("delete_object", **self._place(key))

    def delete_prefix(self, prefix: str) -> None:
        # Uploads first: one that is completed in between is found among the objects.
        for upload in self._pages("list_multipart_uploads", "Uploads", check_prefix(prefix)):
            self._abort(upload)
        keys = [
            {"Key": found["Key"]} for found in self._pages("list_objects_v2", "Contents", prefix)
        ]
        for first in range(0, len(keys), 1000):  # as many as one call takes
            removal = {"Objects": keys[first : first + 1000], "Quiet": True}
            answer = self._call("delete_objects", Bucket=self._bucket, Delete=removal)
            for error in answer.get("Errors", []):
                raise _Refusal(f"deleting {error['Key']!r}: {error['Message']}", error["Code"])

    def discard_unfinished(self, before: datetime) -> int:
        begun = self._pages("list_multipart_uploads", "Uploads", "")
        stale = [upload for upload in begun if upload["Initiated"] < before]
        for upload in stale:
            self._abort(upload)
        return len(stale)

    def _abort(self, upload: dict[str, Any]) -> None:
        place = {"Bucket": self._bucket, "Key": upload["Key"]}
        try:
            self._call("abort_multipart_upload", **place, UploadId=upload["UploadId"])
        except _Refusal as refusal:
            if refusal.code != "NoSuchUpload":  # somebody else ended it
                raise

    def list(self, prefix: str = "") -> list[str]:
        if prefix:
            check_prefix(prefix)
        found = self._pages("list_objects_v2", "Contents", prefix)
        return sorted(each["Key"].removeprefix(self._prefix) for each in found)

    def link(self, key: str, filename: str, media_type: str) -> str | None:
        parameters = {
            **self._place(key),
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
            "ResponseContentType": media_type,
        }
        return self._public_client.generate_presigned_url(
            "get_object", Params=parameters, ExpiresIn=LINK_SECONDS
        )

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + "/".join(names_of(key))}

    def _pages(self, operation: str, member: str, prefix: str) -> Sequence[dict[str, Any]]:
        pages = self._client.get_paginator(operation).paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        return _refused(operation, lambda: [x for page in pages for x in page.get(member, [])])

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return _refused(operation, lambda: getattr(self._client, operation)(**arguments))


class _Refusal(StorageUnavailableError):
    """An answer that is an error, with its code."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message, REASONS.get(code, f"it answered {code}"))
        self.code = code

    def about(self, key: str) -> Exception:
        """What to raise of a call that needs the object."""
        missing = self.code in ("NoSuchKey", "404")
        return nothing_stored(key) if missing else _Refusal(f"{key!r}: {self}", self.code)


def _refused(operation: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ClientError as error:
        raise _Refusal(str(error), str(error.response["Error"].get("Code"))) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        reason = "the service has no credentials for it"
        raise StorageUnavailableError(f"{operation}: {error}", reason) from error
    except BotoCoreError as error:
        raise StorageUnavailableError(f"{operation}: {error}", UNREACHABLE) from error


class _Upload:
    """A multipart upload, from its first part to the end of the block, which aborts a failed one.

    An object of less than a part is sent at once, without one.
    """

    def __init__(self, call: Callable[..., dict[str, Any]], place: dict[str, str]) -> None:
        self._call, self._place = call, place
        self._id: str | None = None
        self._threads = ThreadPoolExecutor(PARTS_IN_FLIGHT)
        self._under_way: deque[Future[str]] = deque()
        self._etags: list[str] = []

    def __enter__(self) -> "_Upload":
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._threads.shutdown(cancel_futures=kind is not None)
        if kind is not None and self._id is not None:
            try:
                self._call("abort_multipart_upload", **self._place, UploadId=self._id)
            except OSError:  # the bucket's lifecycle rule or the job's deletion will remove it
                logger.exception("could not abort the upload of %s", self._place["Key"])

    def send(self, data: bytes) -> None:
        self._add("upload_part", Body=data)

    def copy(self, source: dict[str, str], start: int, stop: int) -> None:
        self._add(
            "upload_part_copy", CopySource=source, CopySourceRange=f"bytes={start}-{stop - 1}"
        )

    def finish(self, rest: bytes) -> None:
        """Ends the object with ``rest``; it is there when this returns."""
        if self._id is None:
            self._call("put_object", **self._place, Body=rest)
            return
        if rest:
            self.send(rest)
        while self._under_way:
            self._etags.append(self._under_way.popleft().result())
        parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(self._etags, start=1)]
        self._call(
            "complete_multipart_upload",
            **self._place,
            UploadId=self._id,
            MultipartUpload={"Parts": parts},
        )

    def _add(self, operation: str, **arguments: Any) -> None:
        if self._id is None:
            self._id = self._call("create_multipart_upload", **self._place)["UploadId"]
        while len(self._under_way) >= PARTS_IN_FLIGHT:
            self._etags.append(self._under_way.popleft().result())
        number = len(self._etags) + len(self._under_way) + 1
        self._under_way.append(self._threads.submit(self._part, operation, number, arguments))

    def _part(self, operation: str, number: int, arguments: dict[str, Any]) -> str:
        answer = self._call(
            operation, **self._place, UploadId=self._id, PartNumber=number, **arguments
        )
        return answer.get("CopyPartResult", answer)["ETag"]


class _PartWriter(io.BufferedIOBase):
    """A file that sends what is written into it part by part."""

    def __init__(self, upload: _Upload) -> None:
        self._upload, self._buffer = upload, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._buffer += data
        while len(self._buffer) > PART_BYTES:
            self._upload.send(bytes(self._buffer[:PART_BYTES]))
            del self._buffer[:PART_BYTES]
        return len(data)

    def finish(self) -> None:
        """Sends the rest: the object is there when this returns."""
        self._upload.finish(bytes(self._buffer))

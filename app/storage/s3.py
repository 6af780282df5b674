"""Storage in a bucket of S3 or a server that speaks its protocol.

An object is sent in parts while it is being written, several at a time, and appears when all of
them have arrived. Objects are joined within the server by UploadPartCopy: their bytes do not pass
through this process, but for pieces smaller than S3 takes as a part.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from app.storage.errors import StorageUnavailableError
from app.storage.keys import (
    CHUNK,
    LINK_SECONDS,
    MOST_PARTS,
    check_prefix,
    names_of,
    nothing_sent,
)
from app.storage.multipart import (
    PART_BYTES,
    PARTS_IN_FLIGHT,
    SMALLEST_PART,
    MultipartUpload,
    PartWriter,
)
from app.storage.refusals import UNREACHABLE, Refusal, refused

LARGEST_COPY = 1 << 30  # of one UploadPartCopy; S3 allows five times as much
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
        with MultipartUpload(self._call, self._place(key)) as upload:
            writer = PartWriter(upload)
            yield writer  # type: ignore[misc]  # a BufferedIOBase has all that a writer needs
            writer.finish()

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return b"".join(self._pieces(key, CHUNK, start, length))

    def stream(self, key: str, chunk: int = CHUNK) -> Iterator[bytes]:
        return self._pieces(key, chunk)

    def _pieces(
        self, key: str, chunk: int, start: int = 0, length: int | None = None
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
        except Refusal as refusal:
            if refusal.code == "InvalidRange":
                return None
            raise refusal.about(key) from refusal

    def size(self, key: str) -> int:
        try:
            return self._call("head_object", **self._place(key))["ContentLength"]
        except Refusal as refusal:
            raise refusal.about(key) from refusal

    def concatenate(self, key: str, pieces: Sequence[str | bytes]) -> None:
        with MultipartUpload(self._call, self._place(key)) as upload:
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

    def _append(self, upload: MultipartUpload, small: bytearray, source: str) -> None:
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
                raise Refusal(f"deleting {error['Key']!r}: {error['Message']}", error["Code"])

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
        except Refusal as refusal:
            if refusal.code != "NoSuchUpload":  # somebody else ended it
                raise

    def list(self, prefix: str = "") -> list[str]:
        if prefix:
            check_prefix(prefix)
        found = self._pages("list_objects_v2", "Contents", prefix)
        return sorted(each["Key"].removeprefix(self._prefix) for each in found)

    def path(self, key: str) -> Path | None:
        return None

    def link(self, key: str, filename: str, media_type: str) -> str | None:
        parameters = {
            **self._place(key),
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
            "ResponseContentType": media_type,
        }
        return self._public_client.generate_presigned_url(
            "get_object", Params=parameters, ExpiresIn=LINK_SECONDS
        )

    def begin_parts(self, key: str) -> str:
        return self._call("create_multipart_upload", **self._place(key))["UploadId"]

    @contextmanager
    def write_part(self, key: str, upload: str, number: int) -> Iterator[BinaryIO]:
        with TemporaryFile() as file:  # S3 must be told a part's length before its bytes
            yield file  # type: ignore[misc]  # has all that a writer needs
            file.seek(0)
            self._of_upload("upload_part", key, upload, PartNumber=number, Body=file)

    def part_link(self, key: str, upload: str, number: int, size: int) -> str | None:
        part = {"UploadId": upload, "PartNumber": number, "ContentLength": size}
        return self._public_client.generate_presigned_url(
            "upload_part", Params=self._place(key) | part, ExpiresIn=LINK_SECONDS
        )

    def parts(
        self, key: str, upload: str, after: int = 0, most: int = MOST_PARTS
    ) -> dict[int, int]:
        found = self._list_parts(key, upload, after, most)
        return {part["PartNumber"]: part["Size"] for part in found}

    def join_parts(self, key: str, upload: str) -> None:
        found = self._list_parts(key, upload, 0, MOST_PARTS)
        parts = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in found]
        whole = {"Parts": parts}
        self._of_upload("complete_multipart_upload", key, upload, MultipartUpload=whole)

    def _list_parts(self, key: str, upload: str, after: int, most: int) -> Sequence[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while len(found) < most:
            page = {"PartNumberMarker": after, "MaxParts": min(most - len(found), 1000)}
            answer = self._of_upload("list_parts", key, upload, **page)
            found += answer.get("Parts", [])
            if not answer["IsTruncated"]:
                break
            after = answer["NextPartNumberMarker"]
        return found

    def _of_upload(self, operation: str, key: str, upload: str, **arguments: Any) -> dict[str, Any]:
        try:
            return self._call(operation, **self._place(key), UploadId=upload, **arguments)
        except Refusal as refusal:
            if refusal.code == "NoSuchUpload":
                raise nothing_sent(key) from refusal
            raise

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + "/".join(names_of(key))}

    def _pages(self, operation: str, member: str, prefix: str) -> Sequence[dict[str, Any]]:
        pages = self._client.get_paginator(operation).paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        return refused(operation, lambda: [x for page in pages for x in page.get(member, [])])

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return refused(operation, lambda: getattr(self._client, operation)(**arguments))

"""Objects of S3 that are sent in parts while they are being written, several at a time."""

import io
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

logger = logging.getLogger(__name__)

PART_BYTES = 8 << 20  # of an object that is being written
SMALLEST_PART = 5 << 20  # S3 takes no smaller one but the last
PARTS_IN_FLIGHT = 4


class MultipartUpload:
    """A multipart upload, from its first part to the end of the block, which aborts a failed one.

    An object of less than a part is sent at once, without one.
    """

    def __init__(self, call: Callable[..., dict[str, Any]], place: dict[str, str]) -> None:
        self._call, self._place = call, place
        self._id: str | None = None
        self._threads = ThreadPoolExecutor(PARTS_IN_FLIGHT)
        self._under_way: deque[Future[str]] = deque()
        self._etags: list[str] = []

    def __enter__(self) -> "MultipartUpload":
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


class PartWriter(io.BufferedIOBase):
    """A file that sends what is written into it part by part."""

    def __init__(self, upload: MultipartUpload) -> None:
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

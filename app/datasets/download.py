"""Sending an object of the storage, whole or a range of it (RFC 9110, section 14)."""

import re

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from app.errors import ProblemError
from app.problems import RANGE_NOT_SATISFIABLE
from app.storage import Storage

# More digits than any file's length has are no range: a very long number cannot even be read.
BYTE_RANGE = re.compile(r"bytes=([0-9]{0,30})-([0-9]{0,30})")


def send_object(
    request: Request, storage: Storage, key: str, *, etag: str, filename: str, media_type: str
) -> Response:
    """The object, or the one range that the request asks for; only the headers for HEAD.

    Several ranges at once, and what is no range, are answered with the whole object, as the RFC
    allows. ``etag`` comes with its quotes.
    """
    size = storage.size(key)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Content-Disposition": f'attachment; filename="{filename}"',
    }
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if request.headers.get("if-range", etag) != etag:
        wanted = None  # the asker holds a part of another object
    found = parse_range(wanted, size)
    start, stop = found or (0, size)
    headers["Content-Length"] = str(stop - start)
    if found:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    status = 206 if found else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    pieces = storage.stream(key, start, stop - start)
    return StreamingResponse(pieces, status, headers, media_type)


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of the range in an object of ``size`` bytes, None for all of it.

    Raises:
        ProblemError: the range lies outside the object.
    """
    match = BYTE_RANGE.fullmatch((header or "").replace(" ", ""))
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        raise ProblemError(
            RANGE_NOT_SATISFIABLE,
            f"The file has {size} bytes.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, stop


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the header names this entity tag, so that the asker has what would be sent."""
    tags = (tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(","))
    return any(tag in (etag, "*") for tag in tags)

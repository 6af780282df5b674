"""Sending an object of the storage: by a link, or whole, or a range of it (RFC 9110, section 14)."""

import re
from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from app.errors import ProblemError
from app.openapi import Responses, header
from app.problems import RANGE_NOT_SATISFIABLE
from app.storage import Storage

# More digits than any file's length has are no range: a very long number cannot even be read.
BYTE_RANGE = re.compile(r"bytes=([0-9]{0,30})-([0-9]{0,30})")
# Says that the asker would rather have the link itself than be sent to it. A page in a browser must
# ask for it so where it needs a key: it cannot send one when it only follows a link.
LINKS = "text/uri-list"
# Only described: what cannot be understood is no error in HTTP, so send_object reads them itself.
DOWNLOAD_CONDITIONS: list[dict[str, Any]] = [
    {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}
    for name, description in (
        ("If-None-Match", "The ETag of an archive that is at hand: 304 if it is the same."),
        ("Range", "The part that is wanted, such as bytes=1000-1999."),
        ("If-Range", "The ETag of a part that is at hand: the whole archive if it is another's."),
        (
            "Accept",
            f"With {LINKS} in it, a link is the answer's body, where there is one (S3 storage).",
        ),
    )
]
ETAG: dict[str, Any] = {"ETag": header("Names this very answer.")}
FILE_HEADERS: dict[str, Any] = ETAG | {
    "Accept-Ranges": header("bytes, as Range may ask for them."),
    "Content-Disposition": header("A name for the file."),
    "Content-Length": header("Bytes in this answer.", "integer"),
}


def zip_responses(noun: str) -> Responses:
    """What a route that sends a zip by :func:`send_object` can answer with."""
    content: dict[str, Any] = {"application/zip": {}}
    return {
        200: {
            "content": content | {LINKS: {"schema": {"type": "string"}}},
            "description": f"The whole {noun}; or, if asked for, a link to it that holds for an hour",
            "headers": FILE_HEADERS,
        },
        206: {
            "content": content,
            "description": "The range that was asked for",
            "headers": FILE_HEADERS | {"Content-Range": header("Which bytes, and of how many.")},
        },
        304: {"description": "The asker has it: If-None-Match names its ETag", "headers": ETAG},
        307: {
            "description": f"The {noun} is at the address for an hour (S3 storage)",
            "headers": {"Location": header(f"Of the {noun}.")},
        },
    }


def send_object(
    request: Request, storage: Storage, key: str, *, etag: str, filename: str, media_type: str
) -> Response:
    """A link to the object, where its storage has a server of its own. Otherwise the object, or the
    one range that the request asks for; only the headers for HEAD.

    Several ranges at once, and what is no range, are answered with the whole object, as the RFC
    allows. ``etag`` comes with its quotes.
    """
    link = storage.link(key, filename, media_type)
    if link is not None and request.method == "GET":  # which is all that the link is signed for
        if LINKS in request.headers.get("accept", ""):
            return Response(f"{link}\r\n", headers={"Cache-Control": "no-store"}, media_type=LINKS)
        return RedirectResponse(link, status_code=307, headers={"Cache-Control": "no-store"})
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

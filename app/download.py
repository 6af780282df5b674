"""Sending an object of the storage: by a link, or whole, or a range of it (RFC 9110, section 14)."""

from typing import Any

from fastapi import Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from starlette.responses import MalformedRangeHeader, RangeNotSatisfiable

from app.errors import ProblemError
from app.openapi import Responses, header
from app.problems import RANGE_NOT_SATISFIABLE
from app.storage import CHUNK, Storage

# Says that the asker would rather have the link itself than be sent to it. A page in a browser must
# ask for it so where it needs a key: it cannot send one when it only follows a link.
LINKS = "text/uri-list"
# Only described: what cannot be understood is no error in HTTP, so that the answer reads them itself.
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

    ``etag`` comes with its quotes.
    """
    link = storage.link(key, filename, media_type)
    if link is not None and request.method == "GET":  # which is all that the link is signed for
        if LINKS in request.headers.get("accept", ""):
            return Response(f"{link}\r\n", headers={"Cache-Control": "no-store"}, media_type=LINKS)
        return RedirectResponse(link, status_code=307, headers={"Cache-Control": "no-store"})
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Content-Disposition": f'attachment; filename="{filename}"',
    }
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    path = storage.path(key)
    if path is not None:
        return RangeResponse(path, headers=headers, media_type=media_type)
    headers["Content-Length"] = str(storage.size(key))
    return Response(headers=headers, media_type=media_type)


class RangeResponse(FileResponse):
    """A file, or the one range of it that is asked for. Several ranges are answered with the whole."""

    chunk_size = CHUNK
    max_ranges = 1

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        # Starlette answers what is no range with 400, where RFC 9110 has it ignored, and a range
        # outside the file without a problem document.
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            return []
        except RangeNotSatisfiable:
            raise ProblemError(
                RANGE_NOT_SATISFIABLE,
                f"The file has {file_size} bytes.",
                headers={"Content-Range": f"bytes */{file_size}"},
            ) from None


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the header names this entity tag, so that the asker has what would be sent."""
    tags = (tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(","))
    return any(tag in (etag, "*") for tag in tags)

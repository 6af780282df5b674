"""The web page: plain files under ``static`` that talk to the API beside them.

Nothing is built and nothing comes from elsewhere: the policy below lets a browser load and call
this origin alone; and the bucket's, if there is one, to send it the parts of large uploads.
"""

import hashlib
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Header, Response
from fastapi.concurrency import run_in_threadpool

from app.deps import ServicesDep
from app.download import matches
from app.errors import not_found
from app.storage import Storage

STATIC = Path(__file__).parent / "static"
START_PAGE = "index.html"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# The names alone: a path that is not among them is never looked up on the disk.
FILES = {
    path.relative_to(STATIC).as_posix(): path
    for path in STATIC.rglob("*")
    if path.suffix in MEDIA_TYPES
}

router = APIRouter(include_in_schema=False)

IfNoneMatch = Annotated[str | None, Header()]


@router.api_route("/", methods=["GET", "HEAD"])
async def get_web_page(services: ServicesDep, if_none_match: IfNoneMatch = None) -> Response:
    """The page. What it shows is in the fragment of its address, which no server sees."""
    page = await _send(START_PAGE, if_none_match)
    if bucket := await run_in_threadpool(_origin_of_parts, services.storage):
        page.headers["Content-Security-Policy"] = f"{POLICY}; connect-src 'self' {bucket}"
    return page


def _origin_of_parts(storage: Storage) -> str | None:
    """Scheme and host of the file store that browsers send parts to; None if that is this service."""
    link = storage.part_link("any", "any", 1, 1)
    return link and "{0.scheme}://{0.netloc}".format(urlsplit(link))


@router.api_route("/web/{name:path}", methods=["GET", "HEAD"])
async def get_web_file(name: str, if_none_match: IfNoneMatch = None) -> Response:
    """A style sheet, a module or a drawing of the page."""
    return await _send(name, if_none_match)


async def _send(name: str, if_none_match: str | None) -> Response:
    path = FILES.get(name)
    if path is None:
        raise not_found(f"file {name!r} of the web page")
    data = await run_in_threadpool(path.read_bytes)
    # By content, so that all machines that serve the page agree.
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    # Kept by the browser, and asked for again: pages and modules of two versions never mix for long.
    headers = {**HEADERS, "ETag": etag, "Cache-Control": "no-cache"}
    if matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=MEDIA_TYPES[path.suffix])

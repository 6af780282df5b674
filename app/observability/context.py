"""What a request or an item is known by: in its log lines, and in the row of the job it makes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

REQUEST_ID_HEADER = "X-Request-ID"
LONGEST_REQUEST_ID = 128  # characters

_log_fields: ContextVar[Mapping[str, str | int] | None] = ContextVar("log_fields", default=None)
_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def log_fields() -> Mapping[str, str | int]:
    """What is said of lines that are written here."""
    return _log_fields.get() or {}


@contextmanager
def logged_with(**fields: str | int | None) -> Iterator[None]:
    """Adds these fields to the lines that are written in the block, but those that are None."""
    known = {name: value for name, value in fields.items() if value is not None}
    token = _log_fields.set({**log_fields(), **known})
    try:
        yield
    finally:
        _log_fields.reset(token)


def begin_request(request_id: str) -> None:
    """All that this task does from now on is for the request."""
    _request_id.set(request_id)
    _log_fields.set({"request_id": request_id})


def current_request_id() -> str | None:
    """Id of the request that is being answered; None outside of any."""
    return _request_id.get()

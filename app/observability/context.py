"""What a request or an item is known by, in each log line that is written on its behalf."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

REQUEST_ID = "request_id"
LONGEST_REQUEST_ID = 128  # characters

_fields: ContextVar[Mapping[str, str | int]] = ContextVar("log_fields", default={})  # noqa: B039  never changed


def log_fields() -> Mapping[str, str | int]:
    """What is said of lines that are written here."""
    return _fields.get()


@contextmanager
def logged_with(**fields: str | int | None) -> Iterator[None]:
    """Adds these fields to the lines that are written in the block, but those that are None."""
    known = {name: value for name, value in fields.items() if value is not None}
    token = _fields.set({**_fields.get(), **known})
    try:
        yield
    finally:
        _fields.reset(token)


def begin_request(request_id: str) -> None:
    """From now on, all that this task does is for the request."""
    _fields.set({REQUEST_ID: request_id})


def current_request_id() -> str | None:
    """Id of the request that is being answered; None outside of any."""
    request_id = _fields.get().get(REQUEST_ID)
    return None if request_id is None else str(request_id)

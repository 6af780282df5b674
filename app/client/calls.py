"""One request, tried until it is answered: what both clients do, without doing it themselves.

What a client can do is written once, as a generator of steps: it yields each request (a
:class:`Call`) and each :class:`Pause`, is sent the answers, and returns the result. A client only
takes the steps, waiting for each or awaiting it.
"""

import os
import random
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from app.client.errors import ServiceError, UnreachableError

DEFAULT_ADDRESS = "http://127.0.0.1:8000"
TRIES = 6  # within some eight seconds
PATIENT_TRIES = 15  # a minute and a half: the service may be started anew
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0  # seconds; each is twice as long as the one before
LONGEST_WAIT = 60.0  # seconds; a service that asks for more is not waited for
NOTHING_DONE = {429, 503}  # so that anything can be sent again
PERHAPS_DONE = {500, 502, 504}


@dataclass(frozen=True)
class Call:
    """A request. ``repeatable``: done twice, it has the effect of once."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Iterable[bytes]] | None = None  # made anew for each try
    repeatable: bool = True

    def arguments(self) -> dict[str, Any]:
        """As httpx takes them."""
        return {
            "method": self.method,
            "url": self.path,
            "params": {name: value for name, value in self.params.items() if value is not None}
            or None,
            "json": self.json,
            "headers": dict(self.headers),
            "content": self.body() if self.body else None,
            # Neither where a link leads, nor where a redirect does, is our key for.
            "auth": None if self.path.startswith("http") else httpx.USE_CLIENT_DEFAULT,
            "follow_redirects": True,
        }


@dataclass(frozen=True)
class Pause:
    seconds: float


T = TypeVar("T")
Steps = Generator[Call | Pause, Any, T]


def http_options(address: str | None, key: str | None, timeout: float) -> dict[str, Any]:
    """What both kinds of httpx client are made with; address and key come from the environment
    (FUNDUSMITH_SERVICE, FUNDUSMITH_API_KEY) where they are not given.

    Raises:
        UnreachableError: the address is none.
    """
    address = address or os.environ.get("FUNDUSMITH_SERVICE") or DEFAULT_ADDRESS
    if not address.startswith(("http://", "https://")):
        raise UnreachableError(f"{address!r} is no address: use one such as {DEFAULT_ADDRESS}.")
    key = key or os.environ.get("FUNDUSMITH_API_KEY")

    def add_key(request: httpx.Request) -> httpx.Request:
        if key:
            request.headers["Authorization"] = f"Bearer {key}"
        return request

    return {"base_url": address, "timeout": timeout, "auth": add_key, "trust_env": False}


def insist(call: Call, tries: int = TRIES) -> Steps[httpx.Response]:
    """The answer, asked for again where that is safe.

    A lost connection is tried again if the call is repeatable or was never sent; so is what the
    service could not do now (429, 503), after the ``Retry-After`` that it gives.

    Raises:
        ServiceError: the service refused.
        UnreachableError: it could not be reached, however often it was tried.
    """
    for attempt in range(1, tries + 1):
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1)) * random.uniform(0.8, 1.2)
        try:
            response = yield call
        except httpx.TransportError as error:
            sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            if attempt == tries or (sent and not call.repeatable):
                raise UnreachableError(f"The connection was lost: {error}.") from error
        else:
            if not response.is_error:
                return response
            status = response.status_code
            if status in NOTHING_DONE:
                pause = _asked_for(response) or pause
            elif status not in PERHAPS_DONE or not call.repeatable:
                raise ServiceError.of(response)
            if attempt == tries or pause > LONGEST_WAIT:
                raise ServiceError.of(response)
        yield Pause(pause)
    raise AssertionError("the last try returns or raises")


def _asked_for(response: httpx.Response) -> float | None:
    """The answer's ``Retry-After``, where it is in seconds."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None

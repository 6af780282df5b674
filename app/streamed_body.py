"""Bodies that are too long to be held: zips and parts of them, taken as they come."""

from asyncio import timeout
from collections.abc import AsyncIterator

from fastapi import Request

from app.errors import ProblemError
from app.problems import REQUEST_TIMEOUT, TOO_LARGE

PIECE = 1 << 20  # bytes that are gathered before they are passed on
LONGEST_SILENCE = 60  # seconds


def announced_length(request: Request) -> int | None:
    """Bytes that the body will have, if the request says so."""
    announced = request.headers.get("content-length", "")
    return int(announced[:20]) if announced.isdecimal() else None


async def stream_body(request: Request, most: int, what: str = "zip") -> AsyncIterator[bytes]:
    """The body in pieces that are worth a thread's while, at most ``most`` bytes of it.

    Raises:
        ProblemError: it is too long, or nothing has come for a while; a connection may be dead
            without a sign of it.
        starlette.requests.ClientDisconnect: it broke off.
    """
    too_large = ProblemError(TOO_LARGE, f"The {what} may have {most} bytes.")
    if (announced_length(request) or 0) > most:
        raise too_large
    body, gathered, size = request.stream(), bytearray(), 0
    while True:
        try:
            async with timeout(LONGEST_SILENCE):
                gathered += await anext(body)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise ProblemError(
                REQUEST_TIMEOUT, f"Nothing has come for {LONGEST_SILENCE} s."
            ) from None
        if len(gathered) >= PIECE:
            size += len(gathered)
            if size > most:
                raise too_large
            yield bytes(gathered)
            gathered.clear()
    if size + len(gathered) > most:
        raise too_large
    yield bytes(gathered)

"""Bodies that are too long to be held: zips, taken as they come."""

from asyncio import timeout
from collections.abc import AsyncIterator

from fastapi import Request

from app.errors import ProblemError
from app.problems import BODY_STALLED, TOO_LARGE

PIECE = 1 << 20  # bytes that are gathered before they are passed on
LONGEST_SILENCE = 60  # seconds


async def stream_zip(request: Request, most: int) -> AsyncIterator[bytes]:
    """The body in pieces that are worth a thread's while, at most ``most`` bytes of it.

    Raises:
        ProblemError: it is too long, or nothing has come for a while; a connection may be dead
            without a sign of it.
        starlette.requests.ClientDisconnect: it broke off.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > most:
        raise _too_large(most)
    body, gathered, size = request.stream(), bytearray(), 0
    while True:
        try:
            async with timeout(LONGEST_SILENCE):
                gathered += await anext(body)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise ProblemError(BODY_STALLED, f"Nothing has come for {LONGEST_SILENCE} s.") from None
        if len(gathered) >= PIECE:
            size += len(gathered)
            if size > most:
                raise _too_large(most)
            yield bytes(gathered)
            gathered.clear()
    if size + len(gathered) > most:
        raise _too_large(most)
    yield bytes(gathered)


def _too_large(most: int) -> ProblemError:
    return ProblemError(TOO_LARGE, f"The zip may have {most} bytes.")

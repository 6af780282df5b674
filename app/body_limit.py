"""A limit on the length of request bodies."""

import re

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 64 << 10  # bytes; but for zips the service takes only small JSON documents


class BodyLimit:
    """Stops reading a body, and with it the request, once it is longer than the limit.

    ``streamed`` matches the paths whose routes read a body piece by piece, with limits of their own.

    (FastAPI has a ``max_body_size``, but answers with plain text where a length was announced.)
    """

    def __init__(self, app: ASGIApp, streamed: re.Pattern[str]) -> None:
        self.app = app
        self.streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def receive_some() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > LARGEST_BODY and not self.streamed.fullmatch(scope["path"]):
                raise HTTPException(413, f"The body may have {LARGEST_BODY} bytes.")
            return message

        await self.app(scope, receive_some, send)

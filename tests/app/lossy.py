"""An API whose answers get lost on their way."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI


class Lossy:
    """Does what is asked, but ``loses`` is how many answers to a POST it then breaks off.

    ``posts`` counts what has been asked.
    """

    def __init__(self, app: FastAPI, loses: int = 1) -> None:
        self.app = app
        self.loses = loses
        self.posts = 0

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
    ) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        self.posts += 1
        if self.posts > self.loses:
            return await self.app(scope, receive, send)

        async def swallow(message: dict[str, Any]) -> None:
            pass

        await self.app(scope, receive, swallow)
        # A body that does not come: the server closes the connection.
        headers = [(b"content-length", b"100")]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        return None

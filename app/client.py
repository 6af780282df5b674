"""A small client of the service's HTTP interface."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

ENDED = frozenset({"succeeded", "failed", "cancelled", "expired"})
CHUNK = 1 << 20

Job = dict[str, Any]


class ServiceError(Exception):
    """The service refused; ``status`` is the HTTP status, ``problem`` the problem document."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or f"status {status}")
        self.status = status
        self.problem = problem


class Client:
    """Calls one service; a context manager that closes its connections.

    ``key`` is the API key for a service that asks for one; without it that of the environment's
    FUNDUSMITH_API_KEY, if it is set.

    Every call raises ServiceError when the service refuses, httpx.TransportError when it cannot be
    reached.
    """

    def __init__(self, address: str, timeout: float = 30, key: str | None = None) -> None:
        key = key or os.environ.get("FUNDUSMITH_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(
            base_url=address, timeout=timeout, headers=headers, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def is_ready(self) -> bool:
        """Whether a service answers there and says that it can take orders."""
        try:
            return self._http.get("/readyz", timeout=2).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def order(self, count: int, **options: Any) -> Job:
        """Orders ``count`` pairs; ``options``: the order's other fields."""
        return self._json("POST", "/datasets", json={"count": count, **options})

    def job(self, job_id: str) -> Job:
        return self._json("GET", f"/datasets/{job_id}")

    def cancel(self, job_id: str) -> Job:
        return self._json("POST", f"/datasets/{job_id}/cancel")

    def delete(self, job_id: str) -> None:
        """Deletes the data set and all its bytes; cancels it first if it has not ended."""
        self._send("DELETE", f"/datasets/{job_id}")

    def wait(
        self,
        job_id: str,
        on_progress: Callable[[Job], None] = lambda job: None,
        poll_seconds: float = 0.5,
        timeout: float | None = None,
    ) -> Job:
        """Polls until the job has ended, however it ended; returns it.

        Raises TimeoutError after ``timeout`` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            job = self.job(job_id)
            on_progress(job)
            if job["status"] in ENDED:
                return job
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"{job_id} is {job['status']} after {timeout} s: {job}")
            time.sleep(poll_seconds)

    def picture(self, job_id: str, index: int, which: str) -> bytes:
        """One picture of a pair, as a file; ``which``: image, label or mask."""
        return self._send("GET", f"/datasets/{job_id}/pairs/{index}/{which}").content

    def preview(self, job_id: str) -> bytes:
        """The contact sheet, a PNG."""
        return self._send("GET", f"/datasets/{job_id}/preview").content

    def download(self, job_id: str, path: Path) -> list[Path]:
        """Writes the archive to ``path``; several volumes beside it, numbered: name-001.zip.

        Returns the files. A volume is there whole or not at all.
        """
        url, archive = f"/datasets/{job_id}/download", self.job(job_id)["archive"]
        volumes = archive["volumes"] if archive else []
        if len(volumes) < 2:
            self._download(url, path)
            return [path]
        paths = []
        for volume in volumes:
            paths.append(path.with_stem(f"{path.stem}-{volume['number']:03d}"))
            self._download(f"{url}?volume={volume['number']}", paths[-1])
        return paths

    def _download(self, url: str, path: Path) -> None:
        part = path.with_name(path.name + ".part")
        try:
            with self._http.stream("GET", url, follow_redirects=True) as response:
                if response.is_error:
                    response.read()
                    raise _error(response)
                with part.open("wb") as file:
                    for chunk in response.iter_bytes(CHUNK):
                        file.write(chunk)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _json(self, method: str, url: str, **arguments: Any) -> Any:
        return self._send(method, url, **arguments).json()

    def _send(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        response = self._http.request(method, url, **arguments)
        if response.is_error:
            raise _error(response)
        return response


def _error(response: httpx.Response) -> ServiceError:
    try:
        return ServiceError(response.status_code, response.json())
    except ValueError:
        return ServiceError(response.status_code, {"detail": response.text[:200]})

"""What can go wrong when the service is called, as exceptions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx


class ClientError(Exception):
    """Everything that the client raises of its own."""


class UnreachableError(ClientError):
    """No service answers at the address, or none that could be understood."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a request."""

    place: str  # a JSON pointer into the body (#/count), or the name of a parameter
    detail: str


class ServiceError(ClientError):
    """The service refused; ``status`` is the HTTP status, ``problem`` the problem document."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or f"status {status}")
        self.status = status
        self.problem = problem

    @classmethod
    def of(cls, response: httpx.Response) -> "ServiceError":
        """The error that the answer tells of; a proxy's page becomes a short ``detail``."""
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            problem = {"status": response.status_code, "detail": response.text[:200]}
        return cls(response.status_code, problem)

    @property
    def faults(self) -> list[Fault]:
        """What is wrong with the request, field by field; empty if that is not what is wrong."""
        return [
            Fault(fault.get("pointer") or fault.get("parameter") or "", fault["detail"])
            for fault in self.problem.get("errors", ())
        ]


class JobFailedError(ClientError):
    """A job that was waited for has ended without success; ``job`` is the job as it ended."""

    def __init__(self, job: Any) -> None:
        reason = f": {job.error.detail}" if job.error else ""
        super().__init__(f"{job.id} has ended as {job.status}{reason}")
        self.job = job


class DamagedError(ClientError):
    """A file is not what the service says it is; ``names`` are the files in it that are wrong."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        super().__init__(f"{path.name} is damaged: {shown}. Download it again.")
        self.path = path
        self.names = list(names)

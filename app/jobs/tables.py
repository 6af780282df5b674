"""Tables of jobs, their items, what is told of their ends, and the rates measured from them.

The rows are the truth about a job. A writer locks the job's row first and touches its items after,
so writers of one job take turns and cannot deadlock.
"""

import secrets
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Date, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, WriteOnlyMapped, mapped_column, relationship

from app.archive.plan import Plan
from app.database import Base, UtcDateTime
from app.observability.context import LONGEST_REQUEST_ID, current_request_id
from app.observability.tracing import current_traceparent

LONGEST_URL = 2000  # characters
LONGEST_ERROR = 500  # characters
LONGEST_OWNER = 100  # characters
TRACEPARENT = 55  # characters that each has (W3C Trace Context)


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PACKAGING = "packaging"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


ACTIVE = frozenset({JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.PACKAGING})
ENDED = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED})


class JobKind(StrEnum):
    DATASET = "dataset"
    UPLOAD = "upload"
    TRAINING = "training"
    EVALUATION = "evaluation"

    @property
    def noun(self) -> str:
        """What users know it as."""
        return {
            "dataset": "data set",
            "upload": "upload",
            "training": "training run",
            "evaluation": "evaluation",
        }[self]


class ItemKind(StrEnum):
    SHARD = "shard"
    PACK = "pack"
    CHECK = "check"  # of an upload, its only item
    SLICE = "slice"  # of a training run: some minutes of it, or at last its packaging
    STEP = "step"  # of an evaluation
    REPORT = "report"  # of an evaluation, its last item


# Of the jobs that are cut into pieces, which workers share: the pieces, and what waits for them all.
PIECES = frozenset({ItemKind.SHARD, ItemKind.STEP})
JOINERS = frozenset({ItemKind.PACK, ItemKind.REPORT})


class Role(StrEnum):
    """What a worker is for. The queue that its hints come by has the same name."""

    GENERATE = "generate"
    TRAIN = "train"

    @property
    def kinds(self) -> tuple[ItemKind, ...]:
        """The items that such a worker takes."""
        if self is Role.TRAIN:
            return (ItemKind.SLICE, ItemKind.STEP, ItemKind.REPORT)
        return (ItemKind.SHARD, ItemKind.PACK, ItemKind.CHECK)


class ItemState(StrEnum):
    WAITING = "waiting"  # for other items to be done; a check: for the bytes to be sent
    READY = "ready"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    DROPPED = "dropped"  # its job ended without it


OPEN = frozenset({ItemState.WAITING, ItemState.READY, ItemState.LEASED})


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # and will not be tried again


class Job(Base):
    """An order, an upload, a training run or an evaluation, and everything known about it."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "status", "created_at"),
        Index(None, "created_at", "id"),
        Index(None, "owner", "idempotency_key", unique=True),
        Index(None, "owner", "created_at", "id"),
        Index(None, "expires_at"),
        Index(None, "deadline_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    # Of the API key it was ordered with. Not NULL but "" without one: a unique index takes NULLs
    # for different, and nobody's idempotency keys are unique too.
    owner: Mapped[str] = mapped_column(String(LONGEST_OWNER), server_default="")
    status: Mapped[str] = mapped_column(String(20))
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    package_digest: Mapped[str] = mapped_column(String(64))  # "" where no model is used
    # Pairs; of an upload, the maps or pairs found good, 0 until it is checked; of a training run,
    # those that it learns from; of an evaluation, all of its upload.
    count: Mapped[int]
    shard_pairs: Mapped[int]  # 0 where there are no shards
    max_attempts: Mapped[int]
    # The zips that are packed, in order: number (from 1), key, pairs, bytes, manifest_sha256 of each.
    volumes: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    index_sha256: Mapped[str | None] = mapped_column(String(64))  # of an upload's pictures
    # Of an upload by parts: size in bytes of each but the last, count, and upload, the storage's name.
    parts: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    model: Mapped[str | None] = mapped_column(String(200))  # name@version that a training run made
    environment: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # What the finished shards took, summed: {"pairs": 64, "generate": 5.1, ...}, in seconds.
    stage_seconds: Mapped[dict[str, float] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    order_digest: Mapped[str | None] = mapped_column(String(64))  # SHA-256 of the order as sent
    retention_seconds: Mapped[float | None]  # from the job's end to its expiry; None: for ever
    webhook_url: Mapped[str | None] = mapped_column(String(LONGEST_URL))  # told when the job ends
    # Of the request that placed it, filled in wherever the row is made: log lines and spans of its
    # items carry them.
    request_id: Mapped[str | None] = mapped_column(
        String(LONGEST_REQUEST_ID), default=current_request_id
    )
    traceparent: Mapped[str | None] = mapped_column(
        String(TRACEPARENT), default=current_traceparent
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deadline_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime
    )  # cancelled if not over by then
    # Known from the end on; of an upload also while its bytes are awaited.
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    queued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    running_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    packaging_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    succeeded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancelling_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    purged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deliveries: WriteOnlyMapped["Delivery"] = relationship()

    @property
    def plan(self) -> Plan:
        return Plan.of(self.request, self.shard_pairs)

    @property
    def is_receiving(self) -> bool:
        """Whether it is an upload whose bytes have not all come yet."""
        return self.status == JobStatus.QUEUED and self.expires_at is not None

    @property
    def has_archive(self) -> bool:
        """Whether there is an archive to download: of all pairs, or of a cancelled job's part."""
        ended = self.status in (JobStatus.SUCCEEDED, JobStatus.CANCELLED)
        return ended and bool(self.volumes)

    def volume_with(self, index: int) -> dict[str, Any] | None:
        """The volume that pair ``index`` is in, once that is packed."""
        number, _ = self.plan.find(index)
        return next((v for v in self.volumes or () if v["number"] == number), None)

    def enter(self, status: JobStatus, now: datetime) -> None:
        """Change the status and note when; an end also says when the job expires.

        An end that the job's webhook is to be told of is queued in the same transaction.
        """
        self.status = status
        setattr(self, f"{status}_at", now)
        if status in ENDED and status != JobStatus.EXPIRED and self.retention_seconds is not None:
            self.expires_at = now + timedelta(seconds=self.retention_seconds)
        if status in ENDED and self.webhook_url is not None:
            self.deliveries.add(
                Delivery(
                    id=f"msg_{secrets.token_urlsafe(15)}",
                    event=f"{self.kind}.{status}",
                    url=self.webhook_url,
                    state=DeliveryState.PENDING,
                    next_attempt_at=now,
                    created_at=now,
                )
            )


class Item(Base):
    """A piece of work that one worker does under one lease."""

    __tablename__ = "items"
    __table_args__ = (
        Index(None, "job_id", "ordinal", unique=True),
        Index(None, "job_id", "state", "ordinal"),
        Index(None, "state", "lease_until"),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    kind: Mapped[str] = mapped_column(String(20))
    ordinal: Mapped[int]
    first: Mapped[int]  # index of its first pair
    # Pairs; of a finished slice, the images it has trained on; of an evaluation's step, hundredths.
    count: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int] = mapped_column(default=0)  # claims so far: the fence of the current one
    failures: Mapped[int] = mapped_column(default=0)
    worker_id: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    progress: Mapped[int] = mapped_column(default=0)  # of count, done in the current attempt
    # What else the current attempt tells of itself; of a slice, where the training stands, of a step,
    # how long it has taken so far.
    live: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class Delivery(Base):
    """One end of a job, on its way to the receiver that is to be told of it."""

    __tablename__ = "deliveries"
    __table_args__ = (Index(None, "job_id"), Index(None, "state", "next_attempt_at"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)  # the same in all its attempts
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    event: Mapped[str] = mapped_column(String(40))  # kind.status: dataset.succeeded
    url: Mapped[str] = mapped_column(String(LONGEST_URL))
    state: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int] = mapped_column(default=0)  # begun so far: the fence of the current one
    # While an attempt is made, this is when it counts as lost.
    next_attempt_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(String(LONGEST_ERROR))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Rate(Base):
    """What a pair of one model, resolution and format costs, averaged over finished shards."""

    __tablename__ = "rates"

    model: Mapped[str] = mapped_column(String(200), primary_key=True)  # name@version
    resolution: Mapped[int] = mapped_column(primary_key=True)
    image_format: Mapped[str] = mapped_column(String(20), primary_key=True)
    seconds_per_pair: Mapped[float]
    bytes_per_pair: Mapped[float]


class Usage(Base):
    """What shards and slices that were finished on one day have made and taken for one owner."""

    __tablename__ = "usage"

    owner: Mapped[str] = mapped_column(String(LONGEST_OWNER), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)  # UTC
    pairs: Mapped[int] = mapped_column(BigInteger)
    device_seconds: Mapped[float]

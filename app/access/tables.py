"""Tables of API keys, and of what their owners may still do."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, UtcDateTime
from app.jobs.tables import LONGEST_OWNER


class Scope(StrEnum):
    """What a key can be made for."""

    READ = "datasets:read"  # list, watch, look at, download; and the owner's usage
    WRITE = "datasets:write"  # order, quote, cancel, delete
    ADMIN = "admin"  # both, on every owner's data sets


class ApiKey(Base):
    """A key that was made. The key itself is not here, only its SHA-256."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)  # part of the key, and public
    sha256: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(100))
    owner: Mapped[str] = mapped_column(String(LONGEST_OWNER))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # to the minute
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Allowance(Base):
    """A token bucket: the requests that an owner may make at once.

    Its row is also what orders of one owner lock, so that they are checked one after another.
    """

    __tablename__ = "allowances"

    owner: Mapped[str] = mapped_column(String(LONGEST_OWNER), primary_key=True)
    requests: Mapped[float]  # left at counted_at; it fills up with time
    counted_at: Mapped[datetime] = mapped_column(UtcDateTime)

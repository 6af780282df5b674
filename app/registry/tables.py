"""Tables of the models that are kept in storage, and of the defaults that owners have chosen."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, UtcDateTime
from app.jobs.tables import LONGEST_OWNER

LONGEST_ID = 84  # characters of name@version


class StoredModel(Base):
    """A model that was imported or trained here, or was shipped and has been ordered from.

    The row stays when the model is deleted: its version is never taken again.
    """

    __tablename__ = "models"
    __table_args__ = (Index(None, "digest", unique=True),)

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    version: Mapped[str] = mapped_column(String(20), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of package, which names all files
    owner: Mapped[str] = mapped_column(String(LONGEST_OWNER))  # "" where keys are not asked for
    shipped: Mapped[bool] = mapped_column(server_default=false())  # everyone's; never deleted
    package: Mapped[str] = mapped_column(Text)  # package.json, to the byte
    bytes: Mapped[int] = mapped_column(BigInteger)  # of the zip in storage
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    purged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the zip is gone since then


class DefaultModel(Base):
    """The model of an owner's orders that name none, where the owner has chosen one."""

    __tablename__ = "default_models"

    owner: Mapped[str] = mapped_column(String(LONGEST_OWNER), primary_key=True)
    model: Mapped[str] = mapped_column(String(LONGEST_ID))  # name@version; shipped or stored

"""The table by which migrations tell programs of before whether they can go on."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class SchemaFloor(Base):
    """One row: the revision that a program must know to work on this schema."""

    __tablename__ = "schema_floor"

    oldest: Mapped[str] = mapped_column(String(32), primary_key=True)

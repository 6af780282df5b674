"""API keys: making, finding, listing and revoking them."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update

from app.access.tables import ApiKey, Scope
from app.clock import Clock, utc_now
from app.database import Database

# fs_<public id>_<secret>: the prefix lets scanners find keys that were published by accident.
KEY = re.compile(r"fs_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")
SECRET_BYTES = 32
LONGEST_NAME = 100
USE_NOTED_EVERY = timedelta(minutes=1)


class InvalidKeyError(ValueError):
    """A key cannot be made like this; the message says why."""


def create_key(
    db: Database, name: str, owner: str, scopes: Collection[Scope], clock: Clock = utc_now
) -> str:
    """Make a key and return it: only now, since nothing is stored that it could be read from.

    Raises:
        InvalidKeyError: the name or the owner is empty or too long, or there is no scope.
    """
    for what, text in (("name", name), ("owner", owner)):
        # Nobody's data sets have the owner "": no key may be theirs.
        if not 1 <= len(text.strip()) <= len(text) <= LONGEST_NAME:
            raise InvalidKeyError(f"The {what} must have 1 to {LONGEST_NAME} characters.")
    if not scopes:
        raise InvalidKeyError("A key needs a scope.")
    public_id = secrets.token_hex(8)
    key = f"fs_{public_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    with db.write() as session:
        session.add(
            ApiKey(
                id=public_id,
                sha256=_digest(key),
                name=name,
                owner=owner,
                scopes=sorted(set(scopes)),
                created_at=clock(),
            )
        )
    return key


def list_keys(db: Database) -> list[ApiKey]:
    """Every key, revoked ones too, the oldest first."""
    with db.read() as session:
        return list(session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)))


def revoke_key(db: Database, key_id: str, clock: Clock = utc_now) -> bool:
    """Make the key useless from the next request on. Returns whether there is such a key."""
    with db.write() as session:
        found = session.get(ApiKey, key_id)
        if found is None:
            return False
        found.revoked_at = found.revoked_at or clock()
        return True


def authenticate(db: Database, key: str, clock: Clock = utc_now) -> ApiKey | None:
    """The row of a key as it was sent, None if it is none of ours or revoked."""
    match = KEY.fullmatch(key)
    if match is None:
        return None
    with db.read() as session:
        found = session.get(ApiKey, match[1])
    if found is None or found.revoked_at is not None:
        return None
    if not hmac.compare_digest(found.sha256, _digest(key)):
        return None
    _note_use(db, found, clock())
    return found


def _note_use(db: Database, key: ApiKey, now: datetime) -> None:
    """Write when the key was used, but not for every request: most requests should only read."""
    before = now - USE_NOTED_EVERY
    if key.last_used_at is not None and key.last_used_at > before:
        return
    not_noted = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= before)
    with db.write() as session:
        session.execute(
            update(ApiKey).where(ApiKey.id == key.id, not_noted).values(last_used_at=now)
        )


def _digest(key: str) -> str:
    # One fast hash is enough: slow ones make up for passwords that can be guessed, and nobody
    # guesses 32 random bytes.
    return hashlib.sha256(key.encode()).hexdigest()

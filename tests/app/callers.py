"""People with API keys."""

from app.access.service import create_key
from app.access.tables import Scope
from app.deps import Services

Headers = dict[str, str]


def bearer(key: str) -> Headers:
    return {"Authorization": f"Bearer {key}"}


def caller(services: Services, owner: str, *scopes: Scope) -> Headers:
    """The headers of a new key of the owner's, which may read and write if nothing else is said."""
    return bearer(create_key(services.db, "a test", owner, scopes or (Scope.READ, Scope.WRITE)))

"""Who sends a request, as far as it matters: what routes ask for to be told."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from app.access.service import authenticate
from app.access.tables import Scope
from app.deps import ServicesDep
from app.errors import ProblemError
from app.problems import INSUFFICIENT_SCOPE, UNAUTHENTICATED
from app.settings import Access, Settings

CHALLENGE = 'Bearer realm="fundusmith"'

bearer = HTTPBearer(
    scheme_name="apiKey",
    bearerFormat="fs_...",
    description="A key that `fundusmith keys create` has made. Not needed where access is off, as "
    "it is by default on the loopback address.",
    auto_error=False,
)


@dataclass(frozen=True)
class Caller:
    """The owner of the key that came with a request."""

    owner: str  # "" where keys are not asked for
    sees_all: bool  # every owner's data sets, not only the own ones

    def may_see(self, owner: str) -> bool:
        return self.sees_all or owner == self.owner


ANYBODY = Caller(owner="", sees_all=True)


def identify(
    request: Request,
    services: ServicesDep,
    wanted: SecurityScopes,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Caller:
    """The caller, who may do what the route is for.

    Raises:
        ProblemError: a key is needed, and there is none, or it is unknown, revoked or made for
            something else.
    """
    if not _needs_key(services.settings, request):
        return ANYBODY
    if credentials is None:
        raise _unauthenticated("Send an API key: 'Authorization: Bearer fs_...'.", CHALLENGE)
    key = authenticate(services.db, credentials.credentials, services.clock)
    if key is None:
        raise _unauthenticated(
            "The API key is unknown or revoked.", f'{CHALLENGE}, error="invalid_token"'
        )
    if Scope.ADMIN in key.scopes:
        return Caller(key.owner, sees_all=True)
    for scope in wanted.scopes:
        if scope not in key.scopes:
            challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'
            raise ProblemError(
                INSUFFICIENT_SCOPE,
                f"The API key {key.id} lacks the scope {scope}.",
                headers={"WWW-Authenticate": challenge},
                scope=scope,
            )
    return Caller(key.owner, sees_all=False)


Reader = Annotated[Caller, Security(identify, scopes=[Scope.READ])]
Writer = Annotated[Caller, Security(identify, scopes=[Scope.WRITE])]
Admin = Annotated[Caller, Security(identify, scopes=[Scope.ADMIN])]


def _needs_key(settings: Settings, request: Request) -> bool:
    if settings.resolved_access is not Access.OFF:
        return settings.resolved_access is Access.REQUIRED
    # Off is for the loopback address alone. A server that was not started from these settings may
    # listen elsewhere: the address that the request has reached tells.
    reached, *_ = request.scope.get("server") or ("",)
    try:
        return not ip_address(reached).is_loopback
    except ValueError:
        return False  # a unix socket


def _unauthenticated(detail: str, challenge: str) -> ProblemError:
    return ProblemError(UNAUTHENTICATED, detail, headers={"WWW-Authenticate": challenge})

"""Decides a call: who, in which standing, on which route. Pure; what it reads is in memory."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Literal

from services.auth import errors
from services.runtime.errors import TOKEN_EXPIRED, TOKEN_INVALID

Gate = Literal["OPEN", "ACCOUNT", "CORE"]
STRICT_SECONDS = 5.0
"""Oldest knowledge that may decide on spending, creating, keys and personal data."""
LENIENT_SECONDS = 60.0
"""Oldest knowledge that may let owners read their own tasks and files."""
TOKEN_SECONDS = 30.0
"""Lifetime of a caller token on every route. It is verified once, when a call begins: by a service before its method
runs, also if that is a stream; by media on arrival, which forwards it at once, to locate what it sends or to open the
record of what it receives. So no watch, upload or download needs a longer one, however long it takes (S10). Until then
pass at most the 15 s of the longest method that is no stream, within which the edge may try a call again."""
KEY_CHANGES = frozenset({"filmgate.auth.v1.Keys.CreateKey", "filmgate.auth.v1.Keys.UpdateKey"})
"""What a freeze of keys stops for a session too. Revoking stays open: it only takes away."""
CREATE = "filmgate.generation.v1.Videos.CreateVideo"
STARTS = frozenset(
    {
        CREATE,
        "filmgate.generation.v1.Files.UploadFile",
        "filmgate.auth.v1.Keys.CreateKey",
    }
)
"""What a freeze of spending stops, beside every other POST to generation."""
HARMLESS_POSTS = frozenset({"filmgate.generation.v1.Videos.EstimateVideo", "filmgate.generation.v1.Videos.CancelVideo"})


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """What the edge says of the route, with the verb of the request."""

    audience: str
    method: str
    """Full name: filmgate.generation.v1.Videos.CreateVideo."""
    gate: str
    strict: bool
    scope: str
    """The only scope that a caller token for this route bears, if the credential has it."""
    verb: str = "GET"

    @property
    def oldest_seconds(self) -> float:
        """Oldest knowledge that may decide here."""
        return STRICT_SECONDS if self.strict else LENIENT_SECONDS


@dataclasses.dataclass(frozen=True, slots=True)
class Principal:
    """A key or a session as the authorizer knows it; times in seconds since 1970."""

    version: int
    kind: Literal["key", "session"]
    id: str
    organization: str
    project: str
    account: str
    scopes: tuple[str, ...]
    ended: bool
    """Revoked, or logged out."""
    digests: tuple[tuple[bytes, float], ...]
    """Digests of its secrets, each with its end."""


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    """A freeze; `until` in seconds since 1970, infinite without an end."""

    version: int
    until: float
    lifted: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """A version of a kind of policy, and from when on it is needed."""

    version: int
    kind: str
    number: int
    policy: str
    effective: float


def check_credential(principal: Principal, end: float, now: float) -> None:
    """Raise KEY_REVOKED, KEY_EXPIRED, TOKEN_INVALID or TOKEN_EXPIRED unless the credential holds.

    Its whole secret was shown, so its holder may be told.
    """
    if principal.ended:
        raise errors.KEY_REVOKED() if principal.kind == "key" else TOKEN_INVALID()
    if end <= now:
        raise errors.KEY_EXPIRED() if principal.kind == "key" else TOKEN_EXPIRED()


def spends(route: Route) -> bool:
    """Say whether a call spends or starts something. A POST to generation does unless it is known to be harmless."""
    if route.method in STARTS:
        return True
    return route.audience == "generation" and route.verb == "POST" and route.method not in HARMLESS_POSTS


def check_freezes(route: Route, principal: Principal, freezes: Mapping[str, Frozen], now: float) -> None:
    """Raise ACCOUNT_FROZEN when a freeze in force covers the call."""
    for scope, freeze in freezes.items():
        if freeze.lifted or freeze.until <= now or not _covers(scope, route, principal):
            continue
        if freeze.until == float("inf"):
            raise errors.ACCOUNT_FROZEN(scope=scope)
        until = datetime.datetime.fromtimestamp(freeze.until, datetime.UTC)
        raise errors.ACCOUNT_FROZEN(scope=scope, until=until.isoformat())


def _covers(scope: str, route: Route, principal: Principal) -> bool:
    if scope == "KEYS":
        return principal.kind == "key" or route.method in KEY_CHANGES
    if scope == "SPENDING":
        return spends(route)
    return True


def missing_policy(policies: Mapping[str, list[Policy]], accepted: Mapping[str, int], now: float) -> Policy | None:
    """Return a policy in force that was not accepted, None when all were. A later version covers an earlier one."""
    for kind, versions in policies.items():
        in_force = [policy for policy in versions if policy.effective <= now]
        if in_force:
            newest = max(in_force, key=lambda policy: policy.number)
            if accepted.get(kind, 0) < newest.number:
                return newest
    return None

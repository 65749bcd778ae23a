"""Which refusals an operation may answer with. What follows from its gate, its fields and the edge stands here; what
is its own, in the sentence `Refuses with ...` of its comment. The words are those of the error_reason.proto files."""

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

from deploy.openapi.contract import Contract

STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""HTTP status of a gRPC code, as the edge's transcoder converts it; media and Check answer the same."""
_FORM = re.compile(r"([A-Z_]+)(?: \((\d{3})\))?\. (.+)")

# Whatever the request, before anything knows what it asks for.
EDGE = (
    "REQUEST_MALFORMED", "BODY_TOO_LARGE", "PROTOCOL_UNSUPPORTED", "RATE_LIMITED", "HEADERS_TOO_LARGE",
    "AUTHORIZER_UNAVAILABLE", "SERVICE_UNAVAILABLE", "SERVICE_TIMEOUT",
)  # fmt: skip
CHECKED = (
    "TOKEN_INVALID", "TOKEN_EXPIRED", "KEY_UNKNOWN", "KEY_REVOKED", "KEY_EXPIRED", "ACCOUNT_FROZEN", "RATE_LIMITED",
    "AUTHORIZER_UNAVAILABLE",
)  # fmt: skip
"""What auth's Check answers where a credential is asked for."""
CORE = ("POLICY_NOT_ACCEPTED",)
SERVED = ("DEADLINE_TOO_SHORT", "PEER_UNAVAILABLE", "INTERNAL")
"""What every service answers."""
CALLED = ("TOKEN_INVALID", "TOKEN_EXPIRED", "SCOPE_MISSING")
"""What a service answers to a caller token."""


@dataclasses.dataclass(frozen=True, order=True)
class Reason:
    """One value of an error_reason.proto."""

    status: int
    name: str
    domain: str
    """`auth.filmgate`, as ErrorInfo has it."""
    code: str
    """Name of the gRPC code."""
    meaning: str
    """What it means and which metadata it bears."""


@dataclasses.dataclass(frozen=True)
class Traits:
    """What of an operation decides its refusals."""

    service: str
    gate: str
    own: tuple[str, ...]
    transcoded: bool = True
    has_body: bool = False
    check_body: bool = False
    has_fields: bool = False
    has_required: bool = False
    has_query_rule: bool = False
    """Whether a query may say too much: beside a body that holds all fields, or for a field of the path."""
    is_paged: bool = False
    is_repeatable: bool = False


class Reasons:
    """The reasons of every service of a contract."""

    def __init__(self, contract: Contract) -> None:
        self.rows: dict[tuple[str, str], Reason] = {}
        for file in contract.files:
            for enum in file.enum_type:
                if enum.name == "ErrorReason":
                    service = file.package.split(".")[1]
                    for value in enum.value[1:]:
                        words = contract.comment(f"{file.package}.ErrorReason.{value.name}")
                        self.rows[service, value.name] = _read(service, value.name, words)

    def of(self, traits: Traits) -> list[Reason]:
        """Return what an operation may refuse with, in the order of status and name. Raises ValueError for a reason
        of the comment that the service's contract does not have."""
        found = set()
        for service, name in _named(traits):
            if (service, name) not in self.rows:
                raise ValueError(f"{service} has no reason {name}")
            found.add(self.rows[service, name])
        return sorted(found)


def _read(service: str, name: str, words: str) -> Reason:
    found = _FORM.fullmatch(words)
    if not found or found[1] not in STATUS:
        raise ValueError(f"{service}'s {name}: the comment must begin with its code, as in `NOT_FOUND. `")
    return Reason(int(found[2] or STATUS[found[1]]), name, f"{service}.filmgate", found[1], found[3])


def _named(traits: Traits) -> Iterator[tuple[str, str]]:
    yield from (("edge", name) for name in EDGE)
    if traits.has_body:
        yield "edge", "CONTENT_ENCODING_UNSUPPORTED"
    if traits.transcoded and traits.has_body:
        yield "edge", "BODY_INVALID"
    yield from (("auth", name) for name in _checked(traits))
    yield from ((traits.service, name) for name in (*SERVED, *_served(traits), *traits.own))


def _checked(traits: Traits) -> Iterable[str]:
    if traits.gate != "OPEN":
        yield from CHECKED
    if traits.gate == "CORE":
        yield from CORE
    if traits.has_query_rule or traits.check_body:
        yield "UNKNOWN_FIELD"
    if traits.check_body:
        yield "BODY_INVALID"


def _served(traits: Traits) -> Iterable[str]:
    if traits.gate != "OPEN":
        yield from CALLED
    if traits.has_required:
        yield "FIELD_REQUIRED"
    if traits.has_fields:
        yield "FIELD_INVALID"
    if traits.is_paged:
        yield "PAGE_TOKEN_MISMATCH"
    if traits.is_repeatable:
        yield from ("REQUEST_ID_REUSED", "REQUEST_IN_PROGRESS")


def table(reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    """Write reasons as rows of the document."""
    return [
        {"reason": row.name, "domain": row.domain, "status": row.status, "code": row.code, "meaning": row.meaning}
        for row in sorted(reasons, key=lambda row: (row.domain, row.status, row.name))
    ]

"""Failures: one line per kind, on the wire as google.rpc.Status with exactly one ErrorInfo.

The message is made from the metadata, so what varies in the text is in the metadata too.
"""

import dataclasses
import string
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode as Code
from grpc_status import rpc_status

Violations = Sequence[tuple[str, str]]
"""Pairs of a field and what is wrong with it."""
_MAX_VALUE_LENGTH = 300
_MAX_TEXT_LENGTH = 1000
"""Characters of a sentence: values in words of ours."""
_MAX_VIOLATIONS = 20


@dataclasses.dataclass(frozen=True)
class Kind:
    """One cause of failure. Call it to get the exception: `raise BALANCE_TOO_LOW(needs=..., available=...)`."""

    reason: str
    code: Code
    text: str
    domain: str = ""
    """Empty for the kinds of the runtime: the server that answers puts its own domain."""

    def __call__(
        self, *, field: str = "", retry_after: float | None = None, violations: Violations = (), **metadata: object
    ) -> "Failure":
        """Make the exception. `field` adds a BadRequest violation, `retry_after` (seconds) a RetryInfo.

        Raises TypeError when the text names metadata that is not given.
        """
        wanted = {name for _, name, _, _ in string.Formatter().parse(self.text) if name}
        if field:
            metadata.setdefault("field", field)
        if missing := wanted - metadata.keys():
            raise TypeError(f"{self.reason} needs {', '.join(sorted(missing))}")
        values = {name: _printable(value) for name, value in metadata.items()}
        faults = list(violations[:_MAX_VIOLATIONS])
        if field and not faults:
            faults = [(field, self.text.format_map(values))]
        return Failure(self, values, faults, retry_after)


class Failure(Exception):
    """A refusal with a documented reason. `kind`, `metadata`, `violations` and `retry_after` say all there is."""

    def __init__(
        self, kind: Kind, metadata: Mapping[str, str], violations: Violations, retry_after: float | None
    ) -> None:
        super().__init__(kind.text.format_map(dict(metadata)))
        self.kind = kind
        self.metadata = dict(metadata)
        self.violations = violations
        self.retry_after = retry_after

    @property
    def message(self) -> str:
        """The sentence that a person is shown."""
        return str(self)


class Catalog:
    """The kinds of one service. Call it as (reason, code, text) to declare one; `kinds` holds them by reason."""

    def __init__(self, domain: str, reasons: Any) -> None:
        self.domain = domain
        self.reasons = frozenset(reasons.keys())
        self.kinds: dict[str, Kind] = {}

    def __call__(self, reason: str, code: Code, text: str) -> Kind:
        """Declare a kind. Raises ValueError at import for a reason that the contract does not have, or has twice."""
        if reason not in self.reasons or reason in self.kinds:
            raise ValueError(f"{reason} is not a new reason of {self.domain}")
        kind = self.kinds[reason] = Kind(reason, code, text, self.domain)
        return kind


catalog = Catalog
"""Opens the catalog of a service: `kind = errors.catalog(errors.domain("billing"), ErrorReason)`."""


def domain(name: str) -> str:
    """Return the error domain of a process by its name: `billing.filmgate`."""
    return f"{name}.filmgate"


_BAD, _STRANGER, _FORBIDDEN = Code.INVALID_ARGUMENT, Code.UNAUTHENTICATED, Code.PERMISSION_DENIED
FIELD_REQUIRED = Kind("FIELD_REQUIRED", _BAD, "{field} must be given.")
FIELD_INVALID = Kind("FIELD_INVALID", _BAD, "{field} must {limit}.")
NOT_FOUND = Kind("NOT_FOUND", Code.NOT_FOUND, "There is no {resource}.")
REQUEST_ID_REUSED = Kind("REQUEST_ID_REUSED", _BAD, "This idempotency key stood for another request. Take a new one.")
REQUEST_IN_PROGRESS = Kind("REQUEST_IN_PROGRESS", Code.ABORTED, "The first request with this id still runs. Try again.")
PAGE_TOKEN_MISMATCH = Kind("PAGE_TOKEN_MISMATCH", _BAD, "page_token belongs to another list. Begin again without it.")
TOKEN_INVALID = Kind("TOKEN_INVALID", _STRANGER, "The credential is missing or not valid here.")
TOKEN_EXPIRED = Kind("TOKEN_EXPIRED", _STRANGER, "The credential has expired.")
SCOPE_MISSING = Kind("SCOPE_MISSING", _FORBIDDEN, "The credential lacks the scope {scope}.")
PEER_NOT_ALLOWED = Kind("PEER_NOT_ALLOWED", _FORBIDDEN, "This peer may not call this method.")
DEADLINE_TOO_SHORT = Kind("DEADLINE_TOO_SHORT", Code.DEADLINE_EXCEEDED, "The time allowed is too short. Allow more.")
PEER_UNAVAILABLE = Kind("PEER_UNAVAILABLE", Code.UNAVAILABLE, "The service cannot answer at the moment. Try again.")
INTERNAL = Kind("INTERNAL", Code.INTERNAL, "Something failed here. Name request {request_id} when you ask about it.")
COMMON = {kind.reason: kind for kind in list(globals().values()) if isinstance(kind, Kind)}
"""The kinds that the runtime raises itself; the ErrorReason enum of every service holds their names."""


def to_status(failure: Failure, own_domain: str, request_id: str) -> status_pb2.Status:
    """Write a failure as google.rpc.Status; the ErrorInfo always names the request.

    Raises for no text whatever: a failure repeats what a stranger sent, and protobuf takes no text that is no Unicode.
    Values and names are cut after 300 characters, sentences after 1000 (F4).
    """
    kind = failure.kind
    told = {**failure.metadata, "request_id": request_id}
    metadata = {_printable(name): _printable(value) for name, value in told.items()}
    info = error_details_pb2.ErrorInfo(reason=kind.reason, domain=kind.domain or own_domain, metadata=metadata)
    message = _printable(failure.message, _MAX_TEXT_LENGTH)
    status = status_pb2.Status(code=kind.code.value[0], message=message, details=[_packed(info)])
    if failure.violations:
        bad = error_details_pb2.BadRequest()
        for field, text in failure.violations:
            bad.field_violations.add(field=_printable(field), description=_printable(text, _MAX_TEXT_LENGTH))
        status.details.append(_packed(bad))
    if failure.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(max(0, round(failure.retry_after * 1000)))
        status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status


@dataclasses.dataclass(frozen=True)
class RemoteFailure:
    """What a callee refused with. `reason` is empty when it was no failure of the suite (no such peer, deadline)."""

    code: Code
    reason: str = ""
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    retry_after: float | None = None


def of(error: grpc.aio.AioRpcError) -> RemoteFailure:
    """Read the refusal of a callee."""
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        status = None
    reason, metadata, retry_after = "", {}, None
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in status.details if status else ():
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return RemoteFailure(error.code(), reason, metadata, retry_after)


def _packed(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _printable(value: object, longest: int = _MAX_VALUE_LENGTH) -> str:
    """Keep a value short and on one line: it may repeat what a stranger sent. What it returns is always Unicode."""
    text = str(value)[:longest]
    return "".join(letter if letter.isprintable() else "�" for letter in text)

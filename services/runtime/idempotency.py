"""Idempotency: the first answer to a request id wins and is replayed for 24 hours.

The row is written in the transaction of the effect. Who comes second waits on the unique key, then replays. Only
successes are stored: a refusal rolls the row back, or `forget` removes it, and the same id may be tried again.
"""

import datetime
import hashlib
from typing import Any, TypeVar

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime import errors
from services.runtime.database import Base, Session, Time, column, create

KEPT = datetime.timedelta(hours=24)
M = TypeVar("M", bound=Message)


class StoredRequest(Base):
    """One request id as seen within a scope (a project, an organization) and a method."""

    __tablename__ = "requests"
    scope: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, primary_key=True)
    method: Mapped[str] = column(Element.OPERATIONAL, sa.Text, primary_key=True)
    request_id: Mapped[str] = column(Element.IDEMPOTENCY, sa.Text, primary_key=True)
    fingerprint: Mapped[bytes] = column(Element.IDEMPOTENCY, sa.LargeBinary, nullable=False)
    answer: Mapped[bytes | None] = column(Element.STORED_ANSWER, sa.LargeBinary)
    create_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False, index=True)


def create_tables(op: Any) -> None:
    """In a service's first migration: make the table `requests`."""
    create(op, StoredRequest)


_CLAIM = sa.text("""
INSERT INTO requests AS old (scope, method, request_id, fingerprint, create_time)
VALUES (:scope, :method, :request_id, :fingerprint, :now)
ON CONFLICT (scope, method, request_id) DO UPDATE
SET fingerprint = EXCLUDED.fingerprint, answer = NULL, create_time = EXCLUDED.create_time
WHERE old.create_time <= :before RETURNING 1
""").bindparams(
    *(sa.bindparam(name, type_=sa.Text) for name in ("scope", "method", "request_id")),
    *(sa.bindparam(name, type_=Time) for name in ("now", "before")),
    sa.bindparam("fingerprint", type_=sa.LargeBinary),
)
_THIS = "scope = :scope AND method = :method AND request_id = :request_id"
_FOUND, _FINISH, _FORGET = (
    sa.text(f"{what} WHERE {_THIS} AND coalesce(create_time = :claimed, true)").bindparams(
        *(sa.bindparam(name, type_=sa.Text) for name in ("scope", "method", "request_id")),
        sa.bindparam("claimed", None, type_=Time),
    )
    for what in (
        "SELECT fingerprint, answer FROM requests", "UPDATE requests SET answer = :answer", "DELETE FROM requests"
    )
)  # fmt: skip


async def begin(  # noqa: PLR0917  what identifies a request, in its order
    session: Session,
    scope: str,
    method: str,
    request_id: str,
    request: Message,
    response: type[M],
    now: datetime.datetime,
) -> M | None:
    """Claim a request id, or answer what was answered before. None: go on, then call `finish`.

    Raises REQUEST_ID_REUSED for another request, REQUEST_IN_PROGRESS while the first one has no answer. An empty id
    claims nothing.
    """
    if not request_id:
        return None
    mark, named = _fingerprint(request), _named(scope, method, request_id)
    claim = {**named, "fingerprint": mark, "now": now, "before": now - KEPT}
    if (await session.execute(_CLAIM, claim)).first():
        return None
    found = (await session.execute(_FOUND, named)).one()
    if found.fingerprint != mark:
        raise errors.REQUEST_ID_REUSED()
    if found.answer is None:
        raise errors.REQUEST_IN_PROGRESS(retry_after=1)
    return response.FromString(found.answer)


async def finish(  # noqa: PLR0917  what identifies a request, in its order
    session: Session,
    scope: str,
    method: str,
    request_id: str,
    response: Message,
    claimed: datetime.datetime | None = None,
) -> None:
    """Store the answer, in the transaction of the effect. An empty id stores nothing.

    When called in a later transaction than `begin`, pass the time of the claim as `claimed`: after a day the claim
    may be another's.
    """
    if request_id:
        answer = {"answer": response.SerializeToString()}
        await session.execute(_FINISH, _named(scope, method, request_id, claimed) | answer)


async def answered(session: Session, scope: str, method: str, request_id: str, response: type[M]) -> M | None:
    """Return what is stored for a request id, to be written anew by `finish`; None when nothing is."""
    found = (await session.execute(_FOUND, _named(scope, method, request_id))).first()
    return None if found is None or found.answer is None else response.FromString(found.answer)


async def forget(
    session: Session, scope: str, method: str, request_id: str, claimed: datetime.datetime | None = None
) -> None:
    """Remove a claim whose request was refused after its transaction, so that it may be tried again. `claimed` as in
    `finish`."""
    if request_id:
        await session.execute(_FORGET, _named(scope, method, request_id, claimed))


async def sweep(session: AsyncSession, now: datetime.datetime) -> int:
    """Delete what is older than 24 hours; returns how many."""
    return (await session.execute(sa.delete(StoredRequest).where(StoredRequest.create_time <= now - KEPT))).rowcount  # type: ignore[attr-defined,no-any-return]


async def erase(session: AsyncSession, scope: str) -> int:
    """Delete all of a scope, for the erasure of a person; returns how many."""
    return (await session.execute(sa.delete(StoredRequest).where(StoredRequest.scope == scope))).rowcount  # type: ignore[attr-defined,no-any-return]


def _named(scope: str, method: str, request_id: str, claimed: datetime.datetime | None = None) -> dict[str, Any]:
    return {"scope": scope, "method": method, "request_id": request_id, "claimed": claimed}


def _fingerprint(request: Message) -> bytes:
    """The request without its id, which may have come as a header or as a field."""
    body = type(request)()
    body.CopyFrom(request)
    if "request_id" in body.DESCRIPTOR.fields_by_name:
        body.ClearField("request_id")
    return hashlib.sha256(
        body.DESCRIPTOR.full_name.encode() + b"\0" + body.SerializeToString(deterministic=True)
    ).digest()

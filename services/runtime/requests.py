"""Idempotency: the first answer to a request id wins and is replayed for 24 hours.

The row is written in the transaction of the effect. Who comes second waits on the unique key, then replays. Only
successes are stored: a refusal rolls the row back, or `forget` removes it, and the same id may be tried again.
"""

import datetime
import hashlib
from typing import Any, TypeVar

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime import errors
from services.runtime.clock import SystemClock
from services.runtime.database import Base, Time, column, create

KEPT = datetime.timedelta(hours=24)
M = TypeVar("M", bound=Message)


class StoredRequest(Base):
    """One request id as seen within a scope (a project, an organisation) and a method."""

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


async def begin(  # noqa: PLR0917  what identifies a request, in its order
    session: AsyncSession,
    scope: str,
    method: str,
    request_id: str,
    request: Message,
    response: type[M],
    now: datetime.datetime | None = None,
) -> M | None:
    """Claim a request id, or answer what was answered before. None: go on, then call `finish`.

    Raises REQUEST_ID_REUSED for another request, REQUEST_IN_PROGRESS while the first one has no answer. An empty id
    claims nothing.
    """
    if not request_id:
        return None
    now = now or SystemClock().now()
    mark = _fingerprint(request)
    values = {"fingerprint": mark, "answer": None, "create_time": now}
    statement = (
        insert(StoredRequest)
        .values(scope=scope, method=method, request_id=request_id, **values)
        .on_conflict_do_update(
            index_elements=["scope", "method", "request_id"], set_=values, where=StoredRequest.create_time <= now - KEPT
        )
        .returning(StoredRequest.create_time)
    )
    if (await session.execute(statement)).first():
        return None
    found = (
        await session.execute(
            _one(sa.select(StoredRequest.fingerprint, StoredRequest.answer), scope, method, request_id)
        )
    ).one()
    if found.fingerprint != mark:
        raise errors.REQUEST_ID_REUSED()
    if found.answer is None:
        raise errors.REQUEST_IN_PROGRESS(retry_after=1)
    return response.FromString(found.answer)


async def finish(session: AsyncSession, scope: str, method: str, request_id: str, response: Message) -> None:
    """Store the answer, in the transaction of the effect. An empty id stores nothing."""
    if request_id:
        answer = response.SerializeToString()
        await session.execute(_one(sa.update(StoredRequest), scope, method, request_id).values(answer=answer))


async def answered(session: AsyncSession, scope: str, method: str, request_id: str, response: type[M]) -> M | None:
    """Answer what is stored for a request id, to be written anew by `finish`; None when nothing is."""
    answer = (await session.execute(_one(sa.select(StoredRequest.answer), scope, method, request_id))).scalar()
    return None if answer is None else response.FromString(answer)


async def forget(session: AsyncSession, scope: str, method: str, request_id: str) -> None:
    """Remove a claim whose request was refused after its transaction, so that it may be tried again."""
    if request_id:
        await session.execute(_one(sa.delete(StoredRequest), scope, method, request_id))


async def sweep(session: AsyncSession, now: datetime.datetime) -> int:
    """Delete what is older than 24 hours; answers how many."""
    return (await session.execute(sa.delete(StoredRequest).where(StoredRequest.create_time <= now - KEPT))).rowcount  # type: ignore[attr-defined,no-any-return]


async def erase(session: AsyncSession, scope: str) -> int:
    """Delete all of a scope, for the erasure of a person; answers how many."""
    return (await session.execute(sa.delete(StoredRequest).where(StoredRequest.scope == scope))).rowcount  # type: ignore[attr-defined,no-any-return]


def _one(statement: Any, scope: str, method: str, request_id: str) -> Any:
    return statement.where(
        StoredRequest.scope == scope, StoredRequest.method == method, StoredRequest.request_id == request_id
    )


def _fingerprint(request: Message) -> bytes:
    """The request without its id, which may have come as a header or as a field."""
    body = type(request)()
    body.CopyFrom(request)
    if "request_id" in body.DESCRIPTOR.fields_by_name:
        body.ClearField("request_id")
    return hashlib.sha256(
        body.DESCRIPTOR.full_name.encode() + b"\0" + body.SerializeToString(deterministic=True)
    ).digest()

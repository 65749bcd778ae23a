"""All SQL of policies."""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import noload, selectinload

from services.privacy.policies.tables import PolicyRow, PolicyTextRow, ReceiptRow
from services.runtime.pages import Page


async def find(session: AsyncSession, policy: str) -> PolicyRow | None:
    """Return a policy with its texts by its id."""
    return await session.get(PolicyRow, policy)


async def find_version(session: AsyncSession, kind: str, version: int) -> PolicyRow | None:
    """Return a version of a document with its texts."""
    return await session.scalar(sa.select(PolicyRow).where(PolicyRow.kind == kind, PolicyRow.version == version))


async def newest_version(session: AsyncSession, kind: str) -> int:
    """Return the newest published version of a document, 0 when there is none."""
    return await session.scalar(sa.select(sa.func.max(PolicyRow.version)).where(PolicyRow.kind == kind)) or 0


async def versions_in_force(session: AsyncSession, now: datetime.datetime) -> dict[str, int]:
    """Return the version in force of each document: the newest whose effective time has come."""
    return dict((await session.execute(_in_force(now))).tuples().all())


async def page_of_current(session: AsyncSession, now: datetime.datetime, page: Page) -> list[PolicyRow]:
    """Return a page of the policies in force and announced, newest published first, without their texts."""
    in_force = _in_force(now).subquery()
    query = sa.select(PolicyRow).outerjoin(in_force, PolicyRow.kind == in_force.c.kind)
    query = query.where(PolicyRow.version >= sa.func.coalesce(in_force.c.version, 0))
    query = query.options(selectinload(PolicyRow.texts).defer(PolicyTextRow.text))
    return list(await session.scalars(page.of(query, PolicyRow.publish_time, PolicyRow.id)))


async def lock_publication(session: AsyncSession) -> None:
    """Let only one transaction at a time publish; the lock ends with it. There is no row to lock: none may change."""
    await session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext("policies"))))


async def publish(session: AsyncSession, policy: PolicyRow, texts: list[PolicyTextRow]) -> None:
    """Insert a version with its texts."""
    session.add(policy)
    await session.flush()
    session.add_all(texts)
    await session.flush()
    await session.refresh(policy, ["texts"])


async def accept(session: AsyncSession, receipt: ReceiptRow) -> ReceiptRow:
    """Insert a receipt and answer it, or the first one of this account and policy, whoever was quicker."""
    values = {column.name: getattr(receipt, column.name) for column in ReceiptRow.__table__.columns}
    await session.execute(
        insert(ReceiptRow).values(values).on_conflict_do_nothing(index_elements=["account", "policy"])
    )
    return (await session.scalars(_receipt(receipt.account, receipt.policy))).one()


async def receipt_of(session: AsyncSession, account: str, policy: str) -> ReceiptRow | None:
    """Return the receipt of an account for a policy."""
    return await session.scalar(_receipt(account, policy))


async def stored_receipt(session: AsyncSession, receipt: str) -> ReceiptRow:
    """Return a receipt that a job names; receipts are never deleted."""
    return await session.get_one(ReceiptRow, receipt)


async def published(session: AsyncSession) -> Sequence[PolicyRow]:
    """Return every published version of every document, without the texts."""
    return (await session.scalars(sa.select(PolicyRow).options(noload(PolicyRow.texts)))).all()


def _in_force(now: datetime.datetime) -> sa.Select[tuple[str, int]]:
    newest = sa.func.max(PolicyRow.version).label("version")
    return sa.select(PolicyRow.kind, newest).where(PolicyRow.effective_time <= now).group_by(PolicyRow.kind)


def _receipt(account: str, policy: str) -> sa.Select[tuple[ReceiptRow]]:
    return sa.select(ReceiptRow).where(ReceiptRow.account == account, ReceiptRow.policy == policy)

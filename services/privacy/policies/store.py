"""All SQL of policies."""

import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from services.privacy.policies.tables import Policy, PolicyText, Receipt
from services.runtime.pages import Page


async def find(session: AsyncSession, policy: str) -> Policy | None:
    """Answer a policy with its texts by its id."""
    return await session.get(Policy, policy)


async def find_version(session: AsyncSession, kind: str, version: int) -> Policy | None:
    """Answer a version of a document with its texts."""
    return await session.scalar(sa.select(Policy).where(Policy.kind == kind, Policy.version == version))


async def newest_version(session: AsyncSession, kind: str) -> int:
    """Answer the newest published version of a document, 0 when there is none."""
    return await session.scalar(sa.select(sa.func.max(Policy.version)).where(Policy.kind == kind)) or 0


async def versions_in_force(session: AsyncSession, now: datetime.datetime) -> dict[str, int]:
    """Answer the version in force of each document: the newest whose effective time has come."""
    return dict((await session.execute(_in_force(now))).tuples().all())


async def page_of_current(session: AsyncSession, now: datetime.datetime, page: Page) -> list[Policy]:
    """Answer a page of the policies in force and announced, newest published first, without their texts."""
    in_force = _in_force(now).subquery()
    query = sa.select(Policy).outerjoin(in_force, Policy.kind == in_force.c.kind)
    query = query.where(Policy.version >= sa.func.coalesce(in_force.c.version, 0))
    query = query.options(selectinload(Policy.texts).defer(PolicyText.text))
    return list(await session.scalars(page.of(query, Policy.publish_time, Policy.id)))


async def lock_publication(session: AsyncSession) -> None:
    """Let only one transaction at a time publish; the lock ends with it. There is no row to lock: none may change."""
    await session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext("policies"))))


async def publish(session: AsyncSession, policy: Policy, texts: list[PolicyText]) -> None:
    """Insert a version with its texts."""
    session.add(policy)
    await session.flush()
    session.add_all(texts)
    await session.flush()
    await session.refresh(policy, ["texts"])


async def accept(session: AsyncSession, receipt: Receipt) -> Receipt:
    """Insert a receipt and answer it, or the first one of this account and policy, whoever was quicker."""
    values = {column.name: getattr(receipt, column.name) for column in Receipt.__table__.columns}
    await session.execute(insert(Receipt).values(values).on_conflict_do_nothing(index_elements=["account", "policy"]))
    return (await session.scalars(_receipt(receipt.account, receipt.policy))).one()


async def receipt_of(session: AsyncSession, account: str, policy: str) -> Receipt | None:
    """Answer the receipt of an account for a policy."""
    return await session.scalar(_receipt(account, policy))


async def stored_receipt(session: AsyncSession, receipt: str) -> Receipt:
    """Answer a receipt that a job names; receipts are never deleted."""
    return await session.get_one(Receipt, receipt)


async def stored_policy(session: AsyncSession, policy: str) -> Policy:
    """Answer a policy that a job names; policies are never deleted."""
    return await session.get_one(Policy, policy)


def _in_force(now: datetime.datetime) -> sa.Select[tuple[str, int]]:
    newest = sa.func.max(Policy.version).label("version")
    return sa.select(Policy.kind, newest).where(Policy.effective_time <= now).group_by(Policy.kind)


def _receipt(account: str, policy: str) -> sa.Select[tuple[Receipt]]:
    return sa.select(Receipt).where(Receipt.account == account, Receipt.policy == policy)

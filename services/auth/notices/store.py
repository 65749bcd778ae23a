"""All SQL of notices."""

import datetime
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.auth.notices.tables import Notice
from services.runtime import jobs


async def add(
    session: AsyncSession,
    notice_id: str,
    account: str,
    template: str,
    parameters: Mapping[str, str],
    *,
    now: datetime.datetime,
) -> None:
    """Store a notice with the job that delivers it, in the transaction of its cause; the same id does nothing."""
    statement = insert(Notice).values(
        id=notice_id, account=account, template=template, parameters=dict(parameters), create_time=now
    )
    if (await session.execute(statement.on_conflict_do_nothing().returning(Notice.id))).first():
        await jobs.enqueue(session, "notice", f"notice:{notice_id}", {"notice": notice_id}, now)


async def notice(session: AsyncSession, notice_id: str) -> Notice | None:
    """Return a notice."""
    return await session.get(Notice, notice_id)


async def mark_delivered(session: AsyncSession, notice_id: str, now: datetime.datetime) -> None:
    """Note when a notice went out."""
    await session.execute(sa.update(Notice).where(Notice.id == notice_id).values(deliver_time=now))

"""All SQL of accounts and freezes."""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.auth.accounts.tables import Account, Freeze


async def account(session: AsyncSession, account_id: str) -> Account | None:
    """Return an account."""
    return await session.get(Account, account_id)


async def account_by_contact(session: AsyncSession, channel: str, index: bytes) -> Account | None:
    """Return the account that a contact point belongs to."""
    mark = Account.phone_index if channel == "PHONE" else Account.email_index
    return (await session.scalars(sa.select(Account).where(mark == index))).one_or_none()


async def lock_contact(session: AsyncSession, index: bytes) -> None:
    """Wait until nobody else registers this contact point; held until the transaction ends."""
    number = int.from_bytes(index[:8], signed=True)
    await session.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


async def freezes_of(session: AsyncSession, account_id: str, now: datetime.datetime) -> Sequence[Freeze]:
    """Return the freezes in force of an account, by scope."""
    query = (
        sa.select(Freeze)
        .where(
            Freeze.account == account_id,
            Freeze.lift_time.is_(None),
            sa.or_(Freeze.expire_time.is_(None), Freeze.expire_time > now),
        )
        .order_by(Freeze.scope)
    )
    return (await session.scalars(query)).all()


async def freeze(
    session: AsyncSession,
    account_id: str,
    scope: str,
    *,
    reason: str,
    actor: str,
    now: datetime.datetime,
    expire_time: datetime.datetime | None,
) -> None:
    """Freeze a scope, or replace the freeze that is there."""
    values = {"reason": reason, "actor": actor, "create_time": now, "expire_time": expire_time, "lift_time": None}
    statement = insert(Freeze).values(account=account_id, scope=scope, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["account", "scope"], set_=values))


async def unfreeze(session: AsyncSession, account_id: str, scope: str, now: datetime.datetime) -> bool:
    """Lift a freeze; returns whether there was one in force."""
    statement = (
        sa.update(Freeze)
        .where(
            Freeze.account == account_id,
            Freeze.scope == scope,
            Freeze.lift_time.is_(None),
            sa.or_(Freeze.expire_time.is_(None), Freeze.expire_time > now),
        )
        .values(lift_time=now)
    )
    result = await session.execute(statement, execution_options={"synchronize_session": False})
    return bool(result.rowcount)  # type: ignore[attr-defined]

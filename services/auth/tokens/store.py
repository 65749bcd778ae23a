"""All SQL of caller keys and service accounts."""

import datetime
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.auth.tokens import domain
from services.auth.tokens.domain import Published
from services.auth.tokens.tables import CallerKey, ServiceAccount

_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtext('caller_keys'))")


async def publish(session: AsyncSession, mine: Mapping[str, bytes], now: datetime.datetime) -> Sequence[Published]:
    """Publish the public keys (by kid) of the keys at hand, retire those that have gone, answer all that are valid.

    One process at a time, so that of several that start at once only one publishes the very first key.
    """
    await session.execute(_LOCK)
    known = {row.kid for row in (await session.scalars(sa.select(CallerKey))).all()}
    start = domain.start_of(now, first=not known)
    rows = [
        {"kid": kid, "public_key": raw, "publish_time": now, "start_time": start}
        for kid, raw in mine.items()
        if kid not in known
    ]
    if rows:
        await session.execute(insert(CallerKey).values(rows))
    retired = sa.update(CallerKey).where(CallerKey.retire_time.is_(None), CallerKey.kid.not_in(list(mine)))
    back = sa.update(CallerKey).where(CallerKey.retire_time.is_not(None), CallerKey.kid.in_(list(mine)))
    for statement in (retired.values(retire_time=now), back.values(retire_time=None)):
        await session.execute(statement, execution_options={"synchronize_session": False})
    valid = sa.or_(CallerKey.retire_time.is_(None), CallerKey.retire_time > now - domain.KEPT)
    columns = (CallerKey.kid, CallerKey.public_key, CallerKey.start_time)
    found = await session.execute(sa.select(*columns).where(valid).order_by(CallerKey.start_time))
    return [Published(*row) for row in found]


async def service_account(session: AsyncSession, name: str) -> ServiceAccount | None:
    """Return the service account of a certificate's name."""
    return await session.get(ServiceAccount, name)


async def service_accounts(session: AsyncSession) -> Sequence[ServiceAccount]:
    """Return all service accounts under the lock that their changes are made under."""
    await session.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('service_accounts'))"))
    return (await session.scalars(sa.select(ServiceAccount))).all()

"""All SQL of acceptances and policies in force."""

import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.auth.standings.tables import Acceptance, PolicyInForce


async def record_acceptance(
    session: AsyncSession, account: str, kind: str, *, accepted: int, receipt: str, accept_time: datetime.datetime
) -> None:
    """Keep the newest version that an account has accepted; an older or the same one changes nothing."""
    values = {"accepted": accepted, "receipt": receipt, "accept_time": accept_time}
    statement = insert(Acceptance).values(account=account, kind=kind, **values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["account", "kind"], set_=values, where=Acceptance.accepted < accepted
        )
    )


async def set_policy(
    session: AsyncSession, kind: str, number: int, *, policy: str, effective_time: datetime.datetime
) -> None:
    """Say from when on a version of a policy is needed."""
    values = {"policy": policy, "effective_time": effective_time}
    statement = insert(PolicyInForce).values(kind=kind, number=number, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["kind", "number"], set_=values))

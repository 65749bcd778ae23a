"""All SQL of acceptances and policies in force."""

import datetime
from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.auth.standings.tables import TOLD, Acceptance, PoliciesTold, PolicyInForce


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


async def set_policies(session: AsyncSession, policies: Sequence[dict[str, Any]]) -> None:
    """Set published versions of policies, each a row of PolicyInForce, and that auth was told of them.

    One statement a version, ordered by their keys, so that two calls at once cannot wait for each other.
    """
    for policy in sorted(policies, key=lambda row: (row["kind"], row["number"])):
        values = {"policy": policy["policy"], "effective_time": policy["effective_time"]}
        statement = insert(PolicyInForce).values(policy)
        await session.execute(statement.on_conflict_do_update(index_elements=["kind", "number"], set_=values))
    await session.execute(insert(PoliciesTold).values(id=TOLD).on_conflict_do_nothing())

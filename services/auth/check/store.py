"""The feed's SQL: everything that transactions have changed since a snapshot."""

import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from services.auth.accounts.tables import Freeze
from services.auth.check.directory import Accepted, Changes
from services.auth.check.domain import Frozen, Policy, Principal
from services.auth.keys.domain import SCOPES
from services.auth.keys.tables import Key
from services.auth.logins.tables import Session
from services.auth.standings.tables import Acceptance, PoliciesTold, PolicyInForce

_FLOOR = sa.text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)")
_ENDLESS = float("inf")
_KEYS = sa.select(
    Key.version, Key.id, Key.organization, Key.project, Key.account, Key.scopes, Key.revoke_time, Key.digest,
    Key.expire_time,
)  # fmt: skip
_SESSIONS = sa.select(
    Session.version, Session.id, Session.organization, Session.project, Session.account, Session.end_time,
    Session.access_digest, Session.access_expire_time, Session.previous_digest, Session.previous_expire_time,
)  # fmt: skip
_FREEZES = sa.select(Freeze.account, Freeze.scope, Freeze.version, Freeze.expire_time, Freeze.lift_time)
_ACCEPTANCES = sa.select(Acceptance.account, Acceptance.kind, Acceptance.version, Acceptance.accepted)
_POLICIES = sa.select(
    PolicyInForce.version, PolicyInForce.kind, PolicyInForce.number, PolicyInForce.policy, PolicyInForce.effective_time
)
_TOLD = sa.select(sa.exists().select_from(PoliciesTold))


async def read_changes(session: AsyncSession, floor: int) -> tuple[int, Changes]:
    """Return (the next floor, what changed since `floor`).

    The floor is the oldest transaction that was still running before the reading began. What commits later has an id
    of at least that, so the next reading finds it, in whatever order transactions commit; rows are read twice rather
    than missed.
    """
    following = int((await session.execute(_FLOOR)).scalar_one())
    # Read before the policies: each statement sees what is committed when it begins, and those who see that the
    # policies were told must see the policies too.
    changes = Changes(told=bool(await session.scalar(_TOLD)))
    for key in await session.execute(_KEYS.where(Key.changed >= floor)):
        changes.principals.append(
            Principal(
                key.version, "key", key.id, key.organization, key.project, key.account, tuple(key.scopes),
                key.revoke_time is not None, ((key.digest, _seconds(key.expire_time)),),
            )
        )  # fmt: skip
    for row in await session.execute(_SESSIONS.where(Session.changed >= floor)):
        digests = [(row.access_digest, _seconds(row.access_expire_time))]
        if row.previous_digest is not None:
            digests.append((row.previous_digest, _seconds(row.previous_expire_time)))
        changes.principals.append(
            Principal(
                row.version, "session", row.id, row.organization, row.project, row.account, SCOPES,
                row.end_time is not None, tuple(digests),
            )
        )  # fmt: skip
    for account, scope, version, end, lifted in await session.execute(_FREEZES.where(Freeze.changed >= floor)):
        changes.freezes.append((account, scope, Frozen(version, _seconds(end), lifted is not None)))
    for account, kind, version, number in await session.execute(_ACCEPTANCES.where(Acceptance.changed >= floor)):
        changes.acceptances.append((account, kind, Accepted(version, number)))
    for version, kind, number, policy, start in await session.execute(_POLICIES.where(PolicyInForce.changed >= floor)):
        changes.policies.append(Policy(version, kind, number, policy, _seconds(start)))
    return following, changes


def _seconds(time: datetime.datetime | None) -> float:
    return _ENDLESS if time is None else time.timestamp()

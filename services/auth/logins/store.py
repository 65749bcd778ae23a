"""All SQL of codes and sessions."""

import dataclasses
import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from services.auth.logins import domain
from services.auth.logins.tables import Flow, RefreshToken, Session, SourceSends, TargetSends
from services.runtime.pages import Page

MAX_SWEPT = 500
_COUNT_TARGET = sa.text("""
INSERT INTO target_sends AS t (subject, last_time, hour_start, hour_sent, day_start, day_sent)
VALUES (:subject, :now, :now, 1, :now, 1)
ON CONFLICT (subject) DO UPDATE SET
  last_time = EXCLUDED.last_time,
  hour_start = CASE WHEN t.hour_start <= :hour_ago THEN EXCLUDED.hour_start ELSE t.hour_start END,
  hour_sent = CASE WHEN t.hour_start <= :hour_ago THEN 1 ELSE t.hour_sent + 1 END,
  day_start = CASE WHEN t.day_start <= :day_ago THEN EXCLUDED.day_start ELSE t.day_start END,
  day_sent = CASE WHEN t.day_start <= :day_ago THEN 1 ELSE t.day_sent + 1 END
WHERE t.last_time <= :pause_ago
  AND (t.hour_start <= :hour_ago OR t.hour_sent < :per_hour)
  AND (t.day_start <= :day_ago OR t.day_sent < :per_day)
RETURNING subject
""")

_COUNT_SOURCE = sa.text("""
INSERT INTO source_sends AS t (subject, hour_start, hour_sent) VALUES (:subject, :now, 1)
ON CONFLICT (subject) DO UPDATE SET
  hour_start = CASE WHEN t.hour_start <= :hour_ago THEN EXCLUDED.hour_start ELSE t.hour_start END,
  hour_sent = CASE WHEN t.hour_start <= :hour_ago THEN 1 ELSE t.hour_sent + 1 END
WHERE t.hour_start <= :hour_ago OR t.hour_sent < :per_hour
RETURNING subject
""")


async def count_target(
    session: AsyncSession, subject: bytes, now: datetime.datetime, per_hour: int, per_day: int
) -> int:
    """Count a code to a target in one statement. 0: go on; else nothing was counted, and so many seconds to wait."""
    values = {
        "subject": subject, "now": now, "pause_ago": now - domain.SEND_PAUSE, "hour_ago": now - domain.HOUR,
        "day_ago": now - domain.DAY, "per_hour": per_hour, "per_day": per_day,
    }  # fmt: skip
    if (await session.execute(_COUNT_TARGET, values)).first():
        return 0
    row = (await session.execute(sa.select(TargetSends).where(TargetSends.subject == subject))).scalar_one()
    windows = [(row.hour_start, domain.HOUR)] if row.hour_sent >= per_hour else []
    windows += [(row.day_start, domain.DAY)] if row.day_sent >= per_day else []
    return domain.wait_seconds(now, row.last_time, windows)


async def count_source(session: AsyncSession, subject: bytes, now: datetime.datetime, per_hour: int) -> int:
    """Count a code asked for from a source; answers as `count_target`."""
    values = {"subject": subject, "now": now, "hour_ago": now - domain.HOUR, "per_hour": per_hour}
    if (await session.execute(_COUNT_SOURCE, values)).first():
        return 0
    start = await session.scalar(sa.select(SourceSends.hour_start).where(SourceSends.subject == subject))
    return domain.wait_seconds(now, None, [(start or now, domain.HOUR)])


async def flow(session: AsyncSession, flow_id: str) -> Flow | None:
    """Return a flow."""
    return await session.get(Flow, flow_id)


@dataclasses.dataclass(frozen=True)
class Tried:
    """A flow as a try left it; `tries` counts the try."""

    channel: str
    target: bytes
    target_index: bytes
    digest: bytes
    tries: int
    expire_time: datetime.datetime


async def count_try(session: AsyncSession, flow_id: str, purpose: str) -> Tried | None:
    """Count a try in one statement, which also locks the flow; None for an unknown or used one, or another purpose."""
    statement = (
        sa.update(Flow)
        .where(Flow.id == flow_id, Flow.purpose == purpose, Flow.use_time.is_(None))
        .values(tries=Flow.tries + 1)
        .returning(Flow.channel, Flow.target, Flow.target_index, Flow.digest, Flow.tries, Flow.expire_time)
    )
    row = (await session.execute(statement, execution_options={"synchronize_session": False})).first()
    return Tried(*row) if row else None


async def use_flow(session: AsyncSession, flow_id: str, account: str, now: datetime.datetime) -> None:
    """End a flow whose code was right. The lock of `count_try` makes this happen once.

    A code that was used has reached its target, so the pause before the next one is over; hour and day still count.
    """
    used = sa.update(Flow).where(Flow.id == flow_id).values(use_time=now, account=account, code=None)
    options = {"synchronize_session": False}
    target = await session.scalar(used.returning(Flow.target_index), execution_options=options)
    paused = sa.update(TargetSends).where(TargetSends.subject == target).values(last_time=now - domain.SEND_PAUSE)
    await session.execute(paused, execution_options=options)


async def forget_code(session: AsyncSession, flow_id: str) -> None:
    """Drop the sealed code once it was delivered; the digest stays."""
    await session.execute(
        sa.update(Flow).where(Flow.id == flow_id).values(code=None), execution_options={"synchronize_session": False}
    )


async def session_of(session: AsyncSession, session_id: str, account: str) -> Session | None:
    """Return an account's session, ended or not."""
    found = await session.execute(sa.select(Session).where(Session.id == session_id, Session.account == account))
    return found.scalar_one_or_none()


async def sessions_of(session: AsyncSession, account: str, page: Page, now: datetime.datetime) -> Sequence[Session]:
    """Return a page of an account's open sessions, newest first."""
    query = sa.select(Session).where(
        Session.account == account, Session.end_time.is_(None), Session.refresh_expire_time > now
    )
    return (await session.scalars(page.of(query, Session.create_time, Session.id))).all()


async def end_session(session: AsyncSession, session_id: str, now: datetime.datetime) -> None:
    """End a session; one that has ended keeps its time."""
    await session.execute(
        sa.update(Session).where(Session.id == session_id, Session.end_time.is_(None)).values(end_time=now),
        execution_options={"synchronize_session": False},
    )


async def end_oldest(session: AsyncSession, account: str, keep: int, now: datetime.datetime) -> None:
    """End an account's oldest sessions beyond the newest `keep`."""
    beyond = (
        sa.select(Session.id)
        .where(Session.account == account, Session.end_time.is_(None))
        .order_by(Session.create_time.desc(), Session.id.desc())
        .offset(keep)
    )
    await session.execute(
        sa.update(Session).where(Session.id.in_(beyond)).values(end_time=now),
        execution_options={"synchronize_session": False},
    )


async def claim_refresh(session: AsyncSession, digest: bytes, nonce: bytes, now: datetime.datetime) -> str | None:
    """Claim a refresh token in one conditional statement; returns its session. Of two at once only one gets it."""
    open_sessions = sa.select(Session.id).where(Session.end_time.is_(None))
    statement = (
        sa.update(RefreshToken)
        .where(
            RefreshToken.digest == digest,
            RefreshToken.use_time.is_(None),
            RefreshToken.expire_time > now,
            RefreshToken.session.in_(open_sessions),
        )
        .values(use_time=now, nonce=nonce)
        .returning(RefreshToken.session)
    )
    return (await session.execute(statement, execution_options={"synchronize_session": False})).scalar()


async def refresh_token(session: AsyncSession, digest: bytes) -> tuple[RefreshToken, Session] | None:
    """Return a refresh token with its session, the session locked."""
    query = (
        sa.select(RefreshToken, Session)
        .join(Session, Session.id == RefreshToken.session)
        .where(RefreshToken.digest == digest)
        .with_for_update(of=Session)
    )
    row = (await session.execute(query)).first()
    return (row[0], row[1]) if row else None


async def locked_session(session: AsyncSession, session_id: str) -> Session:
    """Return a session under its lock."""
    return (await session.scalars(sa.select(Session).where(Session.id == session_id).with_for_update())).one()


async def over_flows(session: AsyncSession, before: datetime.datetime) -> Sequence[str]:
    """Return flows that were begun before a moment, MAX_SWEPT at most."""
    return (await session.scalars(sa.select(Flow.id).where(Flow.create_time < before).limit(MAX_SWEPT))).all()


async def delete_flows(session: AsyncSession, flow_ids: Sequence[str]) -> None:
    """Delete flows."""
    await session.execute(sa.delete(Flow).where(Flow.id.in_(flow_ids)))


async def sweep(session: AsyncSession, now: datetime.datetime) -> None:
    """Delete counters that count nothing any more, and sessions (with their tokens) that ended a month ago."""
    await session.execute(sa.delete(TargetSends).where(TargetSends.last_time < now - domain.DAY))
    await session.execute(sa.delete(SourceSends).where(SourceSends.hour_start < now - domain.HOUR))
    month_ago = now - datetime.timedelta(days=30)
    over = sa.or_(Session.end_time < month_ago, Session.refresh_expire_time < month_ago)
    await session.execute(sa.delete(Session).where(over))

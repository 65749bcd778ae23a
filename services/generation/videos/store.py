"""All SQL of the videos room: the transactions of a video's life, and the reads of its owner."""

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.generation.files.tables import FileRow
from services.generation.videos import domain
from services.generation.videos.tables import VideoRow
from services.runtime import jobs
from services.runtime.errors import Failure

GENERATE, SETTLE, ADMIT_CLEANUP, START_DEADLINE = "generate", "settle", "admit_cleanup", "start_deadline"


def key(kind: str, video_id: str) -> str:
    """Answer the key of a video's job of a kind: `settle:vid_...`."""
    return f"{kind}:{video_id}"


async def admit(session: AsyncSession, video: VideoRow, cleanup_time: datetime.datetime) -> bool:
    """Tx 1: write the row, ADMITTING, and the job that removes it when nothing follows. False: external_id is taken."""
    values = {column.key: getattr(video, column.key) for column in sa.inspect(VideoRow).columns}
    made = (
        insert(VideoRow)
        .values(values)
        .on_conflict_do_nothing(index_elements=["project", "external_id"], index_where=sa.text("delete_time IS NULL"))
    )
    if (await session.execute(made.returning(VideoRow.id))).first() is None:
        return False
    await jobs.enqueue(session, ADMIT_CLEANUP, key(ADMIT_CLEANUP, video.id), {"video": video.id}, run_at=cleanup_time)
    return True


async def drop(session: AsyncSession, video_id: str) -> VideoRow | None:
    """Delete a row that is still ADMITTING and answer what it was; None when it is not (any more)."""
    statement = sa.delete(VideoRow).where(VideoRow.id == video_id, VideoRow.state == "ADMITTING").returning(VideoRow)
    return (await session.execute(statement)).scalar()


async def queue(
    session: AsyncSession, video_id: str, *, quote_micros: int, currency: str, price_version: int, max_attempts: int
) -> VideoRow | None:
    """Tx 2: ADMITTING becomes QUEUED, with its jobs. None when the clean-up was quicker: the order is lost."""
    values = {
        "state": "QUEUED",
        "quote_micros": quote_micros,
        "currency": currency,
        "price_version": price_version,
        "sequence": VideoRow.sequence + 1,
    }
    video = await _update(session, video_id, [VideoRow.state == "ADMITTING"], values)
    if video is None:
        return None
    await jobs.cancel(session, key(ADMIT_CLEANUP, video_id))
    payload = {"video": video_id}
    await jobs.enqueue(
        session, GENERATE, key(GENERATE, video_id), payload,
        tenant=video.organization, cost=video.cost, max_attempts=max_attempts,
    )  # fmt: skip
    await jobs.enqueue(session, START_DEADLINE, key(START_DEADLINE, video_id), payload, run_at=video.start_deadline)
    return video


async def start(session: AsyncSession, video_id: str, now: datetime.datetime, attempt: int) -> VideoRow | None:
    """QUEUED becomes RUNNING under an attempt, or a later attempt takes a RUNNING one over. None: it is not to be run.

    A QUEUED video past its start deadline is not run. `attempt` is the claimed job's.
    """
    may = [
        VideoRow.attempt < attempt,
        sa.or_(VideoRow.state == "RUNNING", sa.and_(VideoRow.state == "QUEUED", VideoRow.start_deadline > now)),
    ]
    values = {
        "state": "RUNNING",
        "attempt": attempt,
        "stage": "MODERATING",
        "start_time": sa.func.coalesce(VideoRow.start_time, now),
        "sequence": VideoRow.sequence + 1,
    }
    video = await _update(session, video_id, may, values)
    if video is not None:
        await jobs.cancel(session, key(START_DEADLINE, video_id))
    return video


async def progress(session: AsyncSession, video_id: str, percent: int, stage: str, attempt: int) -> bool:
    """Write progress (0 to 99; it never falls) and stage. False: this attempt no longer owns the video, stop."""
    values = {
        "progress_percent": sa.func.greatest(VideoRow.progress_percent, min(max(percent, 0), 99)),
        "stage": stage,
        "sequence": VideoRow.sequence + 1,
    }
    own = [VideoRow.state == "RUNNING", VideoRow.attempt == attempt]
    return await _update(session, video_id, own, values) is not None


async def is_running(session: AsyncSession, video_id: str, attempt: int) -> bool:
    """Say whether this attempt still owns the video: it is RUNNING, neither cancelled nor taken over."""
    own = sa.select(sa.literal(1)).where(
        VideoRow.id == video_id, VideoRow.state == "RUNNING", VideoRow.attempt == attempt
    )
    return (await session.execute(own)).first() is not None


async def end(
    session: AsyncSession,
    video_id: str,
    state: str,
    outcome: str,
    *,
    now: datetime.datetime,
    error: Failure | None = None,
    output: str | None = None,
    attempt: int | None = None,
) -> bool:
    """Tx 3: the one conditional UPDATE that ends a video. False: it had ended, or this attempt no longer owns it.

    `state` is SUCCEEDED (with `output`, a published file), FAILED or CANCELLED (with `error`); `outcome` a name of
    billing's Outcome. A worker names its `attempt`. Write the video before the job in one transaction, as everyone
    does, and raise when this answers False so that the rest is rolled back.
    """
    mine = [VideoRow.state.in_(domain.OPEN)]
    if attempt is not None:
        mine += [VideoRow.attempt == attempt, VideoRow.state == "RUNNING"]
    values: dict[str, Any] = {"state": state, "outcome": outcome, "output": output, **_error(error)}
    if output:
        kept = sa.select(FileRow.expire_time).where(FileRow.id == output).scalar_subquery()
        values |= {"progress_percent": 100, "expire_time": kept}
    return await _end(session, video_id, mine, now, values) is not None


async def cancel(session: AsyncSession, video_id: str, now: datetime.datetime, error: Failure) -> VideoRow | None:
    """Tx 3 for its owner: ends an open video, and the outcome tells whether it ran. None: it had ended."""
    outcome = sa.case(
        (VideoRow.state == "RUNNING", domain.outcome_of_cancel("RUNNING")), else_=domain.outcome_of_cancel("QUEUED")
    )
    values = {"state": "CANCELLED", "outcome": outcome, **_error(error)}
    return await _end(session, video_id, [VideoRow.state.in_(domain.OPEN)], now, values)


async def expire_start(session: AsyncSession, video_id: str, now: datetime.datetime, error: Failure) -> bool:
    """Tx 3 for the start deadline: ends a video that is still QUEUED."""
    late = [VideoRow.state == "QUEUED", VideoRow.start_deadline <= now]
    values = {"state": "FAILED", "outcome": "DEADLINE_PASSED", **_error(error)}
    return await _end(session, video_id, late, now, values) is not None


async def _end(
    session: AsyncSession, video_id: str, where: list[Any], now: datetime.datetime, values: dict[str, Any]
) -> VideoRow | None:
    """The one UPDATE. It locks the video before its jobs, as every other transaction does."""
    ending = {"settlement": "PENDING", "end_time": now, "stage": "", "sequence": VideoRow.sequence + 1}
    video = await _update(session, video_id, where, {**values, **ending})
    if video is not None:
        await jobs.cancel(session, key(GENERATE, video_id))
        await jobs.cancel(session, key(START_DEADLINE, video_id))
        await jobs.enqueue(session, SETTLE, key(SETTLE, video_id), {"video": video_id}, tenant=video.organization)
    return video


def _error(error: Failure | None) -> dict[str, Any]:
    if error is None:
        return {}
    return {"error_reason": error.kind.reason, "error_message": error.message, "error_metadata": error.metadata}


async def settled(session: AsyncSession, video_id: str, settlement: str, price_micros: int) -> bool:
    """Write what billing answered (CAPTURED or RELEASED, micro-units charged). False: it was written before."""
    values = {"settlement": settlement, "price_micros": price_micros, "sequence": VideoRow.sequence + 1}
    return await _update(session, video_id, [VideoRow.settlement == "PENDING"], values) is not None


async def get(session: AsyncSession, video_id: str) -> VideoRow | None:
    """Answer a video for the suite itself, whoever owns it and in whatever state."""
    return await session.get(VideoRow, video_id, populate_existing=True)


async def states(session: AsyncSession, video_ids: list[str]) -> dict[str, tuple[str, str | None]]:
    """Answer (state, settlement) of those of these videos that exist."""
    rows = await session.execute(
        sa.select(VideoRow.id, VideoRow.state, VideoRow.settlement).where(VideoRow.id.in_(video_ids))
    )
    return {row.id: (row.state, row.settlement) for row in rows}


async def _update(session: AsyncSession, video_id: str, where: list[Any], values: dict[str, Any]) -> VideoRow | None:
    statement = sa.update(VideoRow).where(VideoRow.id == video_id, *where).values(values).returning(VideoRow)
    result = await session.execute(
        statement, execution_options={"synchronize_session": False, "populate_existing": True}
    )
    return result.scalar()

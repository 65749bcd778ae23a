"""All SQL of videos: the transactions of a video's life, and the reads of its owner."""

import datetime
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.generation.files.tables import FileRow
from services.generation.videos import domain
from services.generation.videos.tables import VideoRow
from services.runtime import jobs
from services.runtime.clock import Clock
from services.runtime.database import Base, DriverTransaction, Session, Time
from services.runtime.errors import Failure
from services.runtime.pages import Page

GENERATE, SETTLE, ADMIT_CLEANUP, START_DEADLINE = "generate", "settle", "admit_cleanup", "start_deadline"
"""Kinds of a video's jobs, as they begin its keys. The kind of GENERATE itself is one per model: `generating`."""

_FORGOTTEN = {"prompt": None, "negative_prompt": None, "request_id": ""}
JOBS_KEPT = datetime.timedelta(days=7)
"""Ended jobs are kept so long, so that a key is not used twice."""


def generating(model: str) -> str:
    """Return the kind of the job that makes a video of a model: `generate.animatic`.

    A worker claims what its own Triton has loaded, and the fair share is one per model.
    """
    return f"{GENERATE}.{model}"


def key(kind: str, video_id: str) -> str:
    """Return the key of a video's job of a kind: `settle:vid_...`."""
    return f"{kind}:{video_id}"


async def _put(session: Session, of: str, video_id: str, now: datetime.datetime, kind: str = "", **how: Any) -> None:
    """Write the one job of a video that its key `of` names; its kind is the same unless it is given."""
    await jobs.enqueue(session, kind or of, key(of, video_id), {"video": video_id}, now, **how)


_ADMIT = (
    insert(VideoRow)
    .on_conflict_do_nothing(index_elements=["project", "external_id"], index_where=sa.text("delete_time IS NULL"))
    .returning(VideoRow.id)
)


async def admit(session: Session, video: VideoRow, cleanup_time: datetime.datetime) -> bool:
    """Tx 1: write the row, ADMITTING, and the job that removes it when nothing follows. False: external_id is taken."""
    values = {column.key: getattr(video, column.key) for column in VideoRow.__table__.c}
    if (await session.execute(_ADMIT, values)).first() is None:
        return False
    await _put(session, ADMIT_CLEANUP, video.id, video.create_time, run_at=cleanup_time)
    return True


async def drop(session: AsyncSession, video_id: str) -> VideoRow | None:
    """Delete a row that is still ADMITTING and answer what it was; None when it is not (any more)."""
    statement = sa.delete(VideoRow).where(VideoRow.id == video_id, VideoRow.state == "ADMITTING").returning(VideoRow)
    return (await session.execute(statement)).scalar()


_QUEUE = sa.text("""
UPDATE videos SET state = 'QUEUED', quote_micros = :micros, currency = :currency, price_version = :price_version,
  sequence = sequence + 1
WHERE id = :id AND state = 'ADMITTING' RETURNING *
""").bindparams(
    sa.bindparam("id", type_=sa.Text), sa.bindparam("currency", type_=sa.Text),
    sa.bindparam("micros", type_=sa.BigInteger), sa.bindparam("price_version", type_=sa.Integer),
)  # fmt: skip


async def queue(
    session: DriverTransaction, video_id: str, now: datetime.datetime, *,
    quote_micros: int, currency: str, price_version: int, max_attempts: int,
) -> Any | None:  # fmt: skip
    """Tx 2: ADMITTING becomes QUEUED, with its jobs; returns the row. None: lost, since the clean-up was quicker."""
    values = {"id": video_id, "micros": quote_micros, "currency": currency, "price_version": price_version}
    video = (await session.execute(_QUEUE, values)).first()
    if video is None:
        return None
    await jobs.cancel(session, key(ADMIT_CLEANUP, video_id), now)
    line = {"kind": generating(video.model), "tenant": video.organization, "cost": video.cost}
    await _put(session, GENERATE, video_id, now, **line, max_attempts=max_attempts)
    await _put(session, START_DEADLINE, video_id, now, run_at=video.start_deadline)
    return video


_TABLE = Base.metadata.tables["videos"]
_VIDEOS = _TABLE.c
_START = (
    sa.update(_TABLE)
    .where(
        _VIDEOS.id == sa.bindparam("video"),
        _VIDEOS.attempt < sa.bindparam("mine"),
        sa.or_(
            _VIDEOS.state == "RUNNING",
            sa.and_(_VIDEOS.state == "QUEUED", _VIDEOS.start_deadline > sa.bindparam("now", type_=Time)),
        ),
    )
    .values(
        state="RUNNING",
        attempt=sa.bindparam("mine"),
        stage="PREPARING",
        start_time=sa.func.coalesce(_VIDEOS.start_time, sa.bindparam("now", type_=Time)),
        sequence=_VIDEOS.sequence + 1,
    )
    .returning(*_VIDEOS)
)


async def start(session: Session, video_id: str, now: datetime.datetime, attempt: int) -> Any | None:
    """QUEUED becomes RUNNING under an attempt, or a later attempt takes a RUNNING one over; returns the row. None: it
    is not to be run.

    A QUEUED video past its start deadline is not run. `attempt` is the claimed job's.
    """
    video = (await session.execute(_START, {"video": video_id, "now": now, "mine": attempt})).first()
    if video is not None:
        await jobs.cancel(session, key(START_DEADLINE, video_id), now)
    return video


_PROGRESS = (
    sa.update(_TABLE)
    .where(_VIDEOS.id == sa.bindparam("video"), _VIDEOS.state == "RUNNING", _VIDEOS.attempt == sa.bindparam("mine"))
    .values(
        progress_percent=sa.func.greatest(_VIDEOS.progress_percent, sa.bindparam("percent", type_=sa.Integer)),
        stage=sa.bindparam("shown"),
        sequence=_VIDEOS.sequence + 1,
    )
    .returning(_VIDEOS.id)
)


async def progress(session: Session, video_id: str, percent: int, stage: str, attempt: int) -> bool:
    """Write progress (0 to 99; it never falls) and stage. False: this attempt no longer owns the video, stop."""
    values = {"video": video_id, "percent": min(max(percent, 0), 99), "shown": stage, "mine": attempt}
    return (await session.execute(_PROGRESS, values)).first() is not None


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
    mine: list[Any] = [VideoRow.state.in_(domain.OPEN)]
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


async def end_overdue(session: AsyncSession, video_id: str, clock: Clock, error: Failure) -> bool:
    """Tx 3 for a video that has run for longer than it may and that no worker has under a lease."""
    job, now = jobs.JobRow, clock.now()
    leased = [job.key == key(GENERATE, video_id), job.state == "RUNNING", job.due_time > clock.real_now()]
    free = ~sa.select(job.id).where(*leased).exists()
    late = [VideoRow.state == "RUNNING", VideoRow.start_time < now - domain.MAX_RUN_TIME, free]
    values = {"state": "FAILED", "outcome": "INFRASTRUCTURE_ERROR", **_error(error)}
    return await _end(session, video_id, late, now, values) is not None


async def _end(
    session: AsyncSession, video_id: str, where: list[Any], now: datetime.datetime, values: dict[str, Any]
) -> VideoRow | None:
    """The one UPDATE. It locks the video before its jobs, as every other transaction does."""
    ending = {"settlement": "PENDING", "end_time": now, "stage": "", "sequence": VideoRow.sequence + 1}
    video = await _update(session, video_id, where, {**values, **ending})
    if video is not None:
        await jobs.cancel(session, key(GENERATE, video_id), now)
        await jobs.cancel(session, key(START_DEADLINE, video_id), now)
        await ask_settling(session, video, now)
    return video


async def ask_settling(session: AsyncSession, video: VideoRow, now: datetime.datetime) -> None:
    """Enqueue the one settle job of an ended video, unless it has one."""
    await _put(session, SETTLE, video.id, now, tenant=video.organization)


def _error(error: Failure | None) -> dict[str, Any]:
    if error is None:
        return {}
    return {"error_reason": error.kind.reason, "error_message": error.message, "error_metadata": error.metadata}


async def settled(session: AsyncSession, video_id: str, settlement: str, price_micros: int) -> bool:
    """Write what billing answered (CAPTURED or RELEASED, micro-units charged). False: it was written before."""
    values = {"settlement": settlement, "price_micros": price_micros, "sequence": VideoRow.sequence + 1}
    return await _update(session, video_id, [VideoRow.settlement == "PENDING"], values) is not None


async def get(session: AsyncSession, video_id: str) -> VideoRow | None:
    """Return a video for the suite itself, whoever owns it and in whatever state."""
    return await session.get(VideoRow, video_id, populate_existing=True)


async def find(session: AsyncSession, project: str, video_id: str) -> VideoRow | None:
    """Return a video of a project as its owner may see it: admitted and not deleted."""
    shown = sa.select(VideoRow).where(VideoRow.id == video_id, *_shown(project))
    return (await session.execute(shown, execution_options={"populate_existing": True})).scalar()


_MANY = sa.select(VideoRow).where(VideoRow.id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.Text))))


async def many(session: DriverTransaction, video_ids: list[str]) -> dict[str, Any]:
    """Return the rows of videos by id, whoever owns them and in whatever state: see `is_shown`."""
    return {row.id: row for row in await session.execute(_MANY, {"ids": video_ids})}


def is_shown(row: Any, project: str) -> bool:
    """Say whether a project may see a row: it is its own, admitted and not deleted."""
    return bool(row.project == project and row.state != "ADMITTING" and row.delete_time is None)


async def page_of(session: AsyncSession, project: str, where: list[Any], page: Page) -> Sequence[VideoRow]:
    """Return a page (and one more) of the videos of a project, newest first."""
    query = page.of(sa.select(VideoRow).where(*_shown(project), *where), VideoRow.create_time, VideoRow.id)
    return (await session.scalars(query)).all()


def filters(request: Any) -> list[Any]:
    """Return the conditions that the named fields of a ListVideosRequest stand for."""
    where: list[Any] = [
        column == value
        for column, value in (
            (VideoRow.model, request.model),
            (VideoRow.external_id, request.external_id),
            (VideoRow.state, domain.STATE_NAMES.get(request.state)),
        )
        if value
    ]
    if request.HasField("created_after"):
        where.append(VideoRow.create_time >= request.created_after.ToDatetime(datetime.UTC))
    if request.HasField("created_before"):
        where.append(VideoRow.create_time < request.created_before.ToDatetime(datetime.UTC))
    return where


async def is_taken(session: AsyncSession, project: str, external_id: str) -> bool:
    """Say whether a video of the project, not deleted, bears this external_id."""
    taken = sa.select(VideoRow.id).where(
        VideoRow.project == project, VideoRow.external_id == external_id, VideoRow.delete_time.is_(None)
    )
    return (await session.execute(taken)).first() is not None


async def is_needed(session: AsyncSession, file_id: str) -> bool:
    """Say whether a video that has not ended is made from this picture."""
    users = sa.select(VideoRow.id).where(VideoRow.image == file_id, VideoRow.end_time.is_(None))
    return (await session.execute(users.limit(1))).first() is not None


async def forget(session: AsyncSession, video_id: str, now: datetime.datetime) -> None:
    """Delete an ended video for its owner: its texts are gone, what billing and the law need stays."""
    gone = {**_FORGOTTEN, "delete_time": now, "external_id": None, "image": None}
    await _update(session, video_id, [VideoRow.end_time.is_not(None)], {**gone, "sequence": VideoRow.sequence + 1})


async def forget_texts(session: AsyncSession, before: datetime.datetime) -> None:
    """Remove the texts of videos that ended before a moment, at least a day ago: a request id stands for nothing then.

    Until then a video has a prompt, be it an empty one, and an index finds it by that.
    """
    statement = sa.update(VideoRow).where(VideoRow.end_time < before, VideoRow.prompt.is_not(None))
    await session.execute(statement.values(_FORGOTTEN), execution_options={"synchronize_session": False})


_OUTPUTS = sa.select(FileRow.__table__).where(
    FileRow.id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.Text))),
    FileRow.state == "READY",
    FileRow.delete_time.is_(None),
)


async def outputs(session: Session, videos: Sequence[Any]) -> dict[str, Any]:
    """Return the files of made videos by video id, as far as they are still there."""
    wanted = [video.output for video in videos if video.output]
    there = await session.execute(_OUTPUTS, {"ids": wanted}) if wanted else ()
    return {file.video: file for file in there if file.video}


async def changed(session: AsyncSession, seen: dict[str, int]) -> Sequence[VideoRow]:
    """Return those of these videos whose sequence is above the one that was seen. For all watchers at once."""
    if not seen:
        return []
    known = (
        sa.func.unnest(sa.cast(list(seen), ARRAY(sa.Text)), sa.cast(list(seen.values()), ARRAY(sa.BigInteger)))
        .table_valued("id", "sequence", name="known")
        .render_derived()
    )
    query = sa.select(VideoRow).join(known, sa.and_(known.c.id == VideoRow.id, VideoRow.sequence > known.c.sequence))
    return (await session.scalars(query, execution_options={"populate_existing": True})).all()


_WAITING = sa.text("""
SELECT job.kind, job.priority, job.vft, job.id, video.id AS video, video.cost
FROM jobs AS job JOIN videos AS video ON job.key = 'generate:' || video.id
WHERE job.kind = ANY(:kinds) AND job.end_time IS NULL AND video.state = 'QUEUED'
ORDER BY job.kind, job.priority, job.vft, job.id
""")
_RUNNING = sa.text("""
SELECT model, count(*) AS videos, sum(cost * (100 - progress_percent) / 100.0) AS cost_left
FROM videos WHERE state = 'RUNNING' AND end_time IS NULL AND model = ANY(:models) GROUP BY model
""")
_PLACES = sa.text(
    "SELECT key, priority, vft, id FROM jobs WHERE key = ANY(:keys) AND state IN ('WAITING', 'QUEUED', 'RUNNING')"
)
_NEXT = sa.text("""
SELECT greatest(
  coalesce((SELECT clock FROM job_pools WHERE kind = :kind AND priority = 100), 0),
  coalesce((SELECT vft FROM job_shares WHERE kind = :kind AND priority = 100 AND tenant = :tenant), 0)
) + CAST(:cost AS float8) AS vft
""")


async def waiting(session: Session, models: list[str]) -> dict[str, list[tuple[tuple[int, float, str], str, float]]]:
    """Return the queued videos of models in the order of the queue: (priority, vft, job id), video id and cost."""
    lines: dict[str, list[tuple[tuple[int, float, str], str, float]]] = {model: [] for model in models}
    of_kind = {generating(model): model for model in models}
    for row in await session.execute(_WAITING, {"kinds": list(of_kind)}):
        lines[of_kind[row.kind]].append(((row.priority, row.vft, row.id), row.video, row.cost))
    return lines


async def places(session: Session, video_ids: list[str]) -> dict[str, tuple[int, float, str]]:
    """Return where videos stand in the order of the queue, by id, as far as they have an open job."""
    keys = {key(GENERATE, video_id): video_id for video_id in video_ids}
    rows = await session.execute(_PLACES, {"keys": list(keys)})
    return {keys[row.key]: (row.priority, row.vft, row.id) for row in rows}


async def next_vft(session: Session, model: str, tenant: str, cost: float) -> float:
    """Return the virtual finish time of a video of this cost, were the tenant to order it now."""
    values = {"kind": generating(model), "tenant": tenant, "cost": cost}
    return float((await session.execute(_NEXT, values)).scalar() or 0)


async def running(session: Session, models: list[str]) -> dict[str, tuple[int, float]]:
    """Return how many videos of each model run, and how many instance seconds they still need."""
    rows = await session.execute(_RUNNING, {"models": models})
    return {row.model: (row.videos, float(row.cost_left)) for row in rows}


def _shown(project: str) -> list[Any]:
    return [VideoRow.project == project, VideoRow.state != "ADMITTING", VideoRow.delete_time.is_(None)]


async def _update(session: AsyncSession, video_id: str, where: list[Any], values: dict[str, Any]) -> VideoRow | None:
    statement = sa.update(VideoRow).where(VideoRow.id == video_id, *where).values(values).returning(VideoRow)
    result = await session.execute(
        statement, execution_options={"synchronize_session": False, "populate_existing": True}
    )
    return result.scalar()

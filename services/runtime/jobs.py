"""Work that must happen: a row written in the transaction of its cause, claimed under a lease, fenced by its attempt.

States: WAITING (not before `due_time`), QUEUED, RUNNING (leased until `due_time`), DONE, DEAD (gave up), CANCELLED.
A WAITING job is due by the business time, a lease ends by the host's (see `clock`): it lasts 30 s, renewed every 5 s,
so hosts may differ by 25 s. One further ahead takes over living leases; the fence lets only the last attempt write.
Fair share: within a kind and a priority, jobs go by virtual finish time = max(the pool's clock, the tenant's last) +
cost / weight, set when they are enqueued. Jobs without a cost go by age. `runner` runs them.
"""

import asyncio
import dataclasses
import datetime
import json
import time
import weakref
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime import caller, ids
from services.runtime.clock import Clock, SystemClock
from services.runtime.database import Base, Database, DriverTransaction, Session, Time, column, create, partial_index

EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)
CHANNEL = "filmgate_jobs"
"""Where a process tells others of its database that it has enqueued jobs."""
_POLL_SECONDS = 0.025
_NOW = sa.bindparam("now", type_=Time)
_wakers: "weakref.WeakSet[Waker]" = weakref.WeakSet()


class JobRow(Base):
    """One job. What it is about stands in `payload`: ids and plain figures, never personal data."""

    __tablename__ = "jobs"
    id: Mapped[str] = column(Element.OPERATIONAL, sa.Text, primary_key=True)
    kind: Mapped[str] = column(Element.OPERATIONAL, sa.Text, nullable=False)
    key: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, nullable=False, unique=True)
    payload: Mapped[dict[str, Any]] = column(Element.JOB_PAYLOAD, JSONB, nullable=False)
    tenant: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, nullable=False)
    state: Mapped[str] = column(Element.TASK_STATE, sa.Text, nullable=False)
    priority: Mapped[int] = column(Element.OPERATIONAL, sa.Integer, nullable=False)
    vft: Mapped[float] = column(Element.OPERATIONAL, sa.Double, nullable=False)
    run_at: Mapped[datetime.datetime] = column(Element.OPERATIONAL, Time, nullable=False)
    due_time: Mapped[datetime.datetime] = column(Element.OPERATIONAL, Time, nullable=False)
    worker: Mapped[str] = column(Element.OPERATIONAL, sa.Text, nullable=False, server_default="")
    attempt: Mapped[int] = column(Element.OPERATIONAL, sa.Integer, nullable=False, server_default="0")
    excused: Mapped[int] = column(Element.OPERATIONAL, sa.Integer, nullable=False, server_default="0")
    max_attempts: Mapped[int | None] = column(Element.OPERATIONAL, sa.Integer)
    cancel: Mapped[bool] = column(Element.OPERATIONAL, sa.Boolean, nullable=False, server_default=sa.false())
    error: Mapped[str] = column(Element.OPERATIONAL, sa.Text, nullable=False, server_default="")
    create_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    end_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)
    trace: Mapped[str] = column(Element.OPERATIONAL, sa.Text, nullable=False, server_default="")
    """The W3C traceparent of its cause."""
    __table_args__ = (
        partial_index("jobs_queue", "kind", "priority", "vft", "id", where="state = 'QUEUED'"),
        partial_index("jobs_due", "due_time", where="state IN ('WAITING', 'RUNNING')"),
        sa.Index("jobs_ended", "end_time", postgresql_where=sa.text("end_time IS NOT NULL")),
        partial_index("jobs_open", "kind", "create_time"),
        sa.Index("jobs_dead", "kind", postgresql_where=sa.text("state = 'DEAD'")),
    )


class PoolRow(Base):
    """The virtual clock of a kind at a priority: the virtual finish time of the job that was claimed last."""

    __tablename__ = "job_pools"
    kind: Mapped[str] = column(Element.OPERATIONAL, sa.Text, primary_key=True)
    priority: Mapped[int] = column(Element.OPERATIONAL, sa.Integer, primary_key=True)
    clock: Mapped[float] = column(Element.OPERATIONAL, sa.Double, nullable=False, server_default="0")


class ShareRow(Base):
    """The last virtual finish time that a tenant was given."""

    __tablename__ = "job_shares"
    kind: Mapped[str] = column(Element.OPERATIONAL, sa.Text, primary_key=True)
    priority: Mapped[int] = column(Element.OPERATIONAL, sa.Integer, primary_key=True)
    tenant: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, primary_key=True)
    vft: Mapped[float] = column(Element.OPERATIONAL, sa.Double, nullable=False)


def create_tables(op: Any) -> None:
    """In a service's first migration: make `jobs`, `job_pools` and `job_shares`. Later changes are functions below."""
    create(op, JobRow, PoolRow, ShareRow)


def add_trace(op: Any) -> None:
    """In a migration that follows: the trace of a job's cause, and an index of those that were given up."""
    op.execute("ALTER TABLE jobs ADD COLUMN IF NOT EXISTS trace TEXT DEFAULT '' NOT NULL")
    op.execute("CREATE INDEX IF NOT EXISTS jobs_dead ON jobs (kind) WHERE state = 'DEAD'")


class LeaseLost(Exception):
    """The lease of this job has ended: another worker has it or may take it. Nothing of it may be written any more."""


class RetryLater(Exception):
    """Raised by a handler: try again after so many seconds, which does not count as an attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclasses.dataclass
class Job:
    """A claimed job. `attempt` fences its writes; `tries` counts the attempts that are held against it.

    `lost` is set when the lease is gone (the handler is cancelled then); `cancelled` when somebody asked to stop.
    `slot` is what the runner counts it by, until the job leaves it or ends.
    """

    id: str
    kind: str
    key: str
    payload: dict[str, Any]
    tenant: str
    attempt: int
    tries: int
    max_attempts: int | None
    trace: str = ""
    clock: Clock = dataclasses.field(default_factory=SystemClock, repr=False)
    lost: asyncio.Event = dataclasses.field(default_factory=asyncio.Event, repr=False)
    cancelled: asyncio.Event = dataclasses.field(default_factory=asyncio.Event, repr=False)
    ended: bool = False
    lease_until: datetime.datetime = EPOCH
    slot: asyncio.Semaphore | None = dataclasses.field(default=None, repr=False)

    def leave_slot(self) -> None:
        """Let the runner claim the next job while this one is brought to its end; harmless when called again."""
        slot, self.slot = self.slot, None
        if slot is not None:
            slot.release()


class Waker:
    """Wakes a runner of this process when a job is enqueued in it; others look, or are told by a JobListener."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        _wakers.add(self)

    def wake(self) -> None:
        """Wake the runner, if it belongs to the running loop."""
        if self._loop is asyncio.get_running_loop():
            self.event.set()


_ENQUEUE = sa.text("""
WITH pool AS (
  INSERT INTO job_pools (kind, priority) SELECT :kind, :priority WHERE CAST(:step AS float8) > 0 ON CONFLICT DO NOTHING
), share AS (
  INSERT INTO job_shares AS s (kind, priority, tenant, vft)
  SELECT :kind, :priority, :tenant,
    coalesce((SELECT clock FROM job_pools WHERE kind = :kind AND priority = :priority), 0) + CAST(:step AS float8)
  WHERE CAST(:step AS float8) > 0 AND NOT EXISTS (SELECT FROM jobs WHERE key = :key)
  ON CONFLICT (kind, priority, tenant)
  DO UPDATE SET vft = greatest(s.vft + CAST(:step AS float8), EXCLUDED.vft)
  RETURNING vft
)
INSERT INTO jobs (id, kind, key, payload, tenant, state, priority, max_attempts, trace, create_time, run_at, due_time,
  vft) SELECT :id, :kind, :key, CAST(:payload AS jsonb), :tenant, :state, :priority, :max_attempts, :trace, :now,
  :run_at, :run_at, coalesce((SELECT vft FROM share), 0)
ON CONFLICT (key) DO NOTHING RETURNING id
""").bindparams(
    *(sa.bindparam(name, type_=sa.Text) for name in ("id", "kind", "key", "payload", "tenant", "state", "trace")),
    *(sa.bindparam(name, type_=sa.Integer) for name in ("priority", "max_attempts")),
    *(_NOW, sa.bindparam("run_at", type_=Time)),
)


async def enqueue(
    session: Session,
    kind: str,
    key: str,
    payload: dict[str, Any],
    now: datetime.datetime,
    *,
    run_at: datetime.datetime | None = None,
    tenant: str = "",
    priority: int = 100,
    cost: float = 0.0,
    weight: float = 1.0,
    max_attempts: int | None = None,
) -> bool:
    """Write a job in the caller's transaction; returns False when a job with this key exists already.

    `now` is the business time; `run_at` None: as soon as it is committed. Lower `priority` goes first. `cost` (such as
    quoted GPU seconds) and `weight` share the kind fairly between tenants. `max_attempts` None: tried for ever.
    """
    values = {
        "id": ids.new("job"), "kind": kind, "key": key, "payload": json.dumps(payload), "tenant": tenant,
        "state": "WAITING" if run_at else "QUEUED", "priority": priority, "step": float(cost / weight),
        "run_at": run_at or EPOCH, "now": now, "max_attempts": max_attempts, "trace": caller.traceparent(),
    }  # fmt: skip
    made = (await session.execute(_ENQUEUE, values)).first() is not None
    if made and not run_at:
        wake_after(session)
    return made


def wake_after(session: Session) -> None:
    """Wake the runners of this process when the transaction has committed: it has written a job that can run."""
    if isinstance(session, DriverTransaction):
        session.after_commit.append(wake)
    else:
        event.listen(session.sync_session, "after_commit", wake, once=True)


async def notify(session: Session) -> None:
    """Tell all who listen on CHANNEL of this database that there are jobs; never in the transaction that made them."""
    await session.execute(_NOTIFY)


def wake(_: object = None) -> None:
    """Wake all runners of this process."""
    for waker in list(_wakers):
        waker.wake()


_NOTIFY = sa.text(f"NOTIFY {CHANNEL}")
_PROMOTE = sa.text("""
UPDATE jobs SET state = 'QUEUED' WHERE id IN (
  SELECT id FROM jobs WHERE state IN ('WAITING', 'RUNNING') AND end_time IS NULL AND kind = ANY(:kinds)
  AND due_time <= greatest(:now, :real) AND due_time <= CASE state WHEN 'WAITING' THEN :now ELSE :real END
  LIMIT 1000 FOR UPDATE SKIP LOCKED)
""").bindparams(_NOW, sa.bindparam("real", type_=Time))

_CLAIM = sa.text("""
WITH next AS (
  SELECT first.id FROM unnest(CAST(:kinds AS text[])) AS wanted (kind) CROSS JOIN LATERAL (
    SELECT id, priority, vft FROM jobs WHERE jobs.kind = wanted.kind AND state = 'QUEUED' AND end_time IS NULL
    ORDER BY priority, vft, id LIMIT 1 FOR UPDATE SKIP LOCKED) AS first
  ORDER BY first.priority, first.vft, first.id LIMIT 1
), taken AS (
  UPDATE jobs SET state = 'RUNNING', attempt = attempt + 1, worker = :worker, due_time = :until
  FROM next WHERE jobs.id = next.id AND jobs.state = 'QUEUED'
  RETURNING jobs.*
), moved AS (
  UPDATE job_pools AS pool SET clock = taken.vft FROM taken
  WHERE pool.kind = taken.kind AND pool.priority = taken.priority AND pool.clock < taken.vft
)
SELECT id, kind, key, payload, tenant, attempt, attempt - excused AS tries, max_attempts, trace, cancel
FROM taken
""").columns(payload=JSONB)

_RENEW = sa.text("""
UPDATE jobs SET due_time = :until FROM unnest(CAST(:ids AS text[]), CAST(:attempts AS int[])) AS held (id, attempt)
WHERE jobs.id = held.id AND jobs.attempt = held.attempt AND jobs.state = 'RUNNING' AND jobs.due_time > :now
RETURNING jobs.id, jobs.cancel
""")


async def promote(session: Session, kinds: list[str], clock: Clock) -> None:
    """Queue what waited until now, and what is leased to a worker that no longer renews it."""
    await session.execute(_PROMOTE, {"kinds": kinds, "now": clock.now(), "real": clock.real_now()})


async def claim(session: Session, kinds: list[str], worker: str, clock: Clock, lease_seconds: float) -> Job | None:
    """Take the next job of these kinds under a lease, or None. Commit it (`Database.autocommit` does), then work."""
    until = clock.real_now() + datetime.timedelta(seconds=lease_seconds)
    row = (await session.execute(_CLAIM, {"kinds": kinds, "worker": worker, "until": until})).first()
    if row is None:
        return None
    values = row._asdict()
    cancel_asked = values.pop("cancel")
    job = Job(**values, clock=clock, lease_until=until)
    if cancel_asked:
        job.cancelled.set()
    return job


async def renew_leases(session: Session, held: list[Job], clock: Clock, lease_seconds: float) -> set[str]:
    """Renew the leases of jobs; returns the ids that are still held, and tells those that were asked to stop."""
    until = (now := clock.real_now()) + datetime.timedelta(seconds=lease_seconds)
    values = {"ids": [job.id for job in held], "attempts": [job.attempt for job in held], "now": now, "until": until}
    alive = {row.id: row.cancel for row in await session.execute(_RENEW, values)}
    for job in held:
        if job.id in alive:
            job.lease_until = until
            if alive[job.id]:
                job.cancelled.set()
    return set(alive)


async def finish(session: AsyncSession, job: Job) -> None:
    """End a job in the transaction of its effect. Raises LeaseLost, which rolls the effect back."""
    await _write(session, job, state="DONE", end_time=job.clock.now())
    job.ended = True


async def release(session: AsyncSession, job: Job) -> None:
    """Hand the lease back at once, uncounted. Raises LeaseLost."""
    await _write(session, job, state="QUEUED", excused=JobRow.excused + 1)
    job.ended = True


async def reschedule(session: AsyncSession, job: Job, seconds: float, *, excused: bool, error: str = "") -> None:
    """Try again after so many seconds; excused: uncounted. `error` is a class or reason. Raises LeaseLost."""
    due = job.clock.now() + datetime.timedelta(seconds=seconds)
    await _write(session, job, state="WAITING", due_time=due, excused=JobRow.excused + int(excused), error=error)


async def update_payload(session: AsyncSession, job: Job, **told: int) -> None:
    """Keep plain figures in a job's payload for its next attempts. Raises LeaseLost."""
    job.payload |= told
    await _write(session, job, payload=job.payload)


async def dead_letter(session: AsyncSession, job: Job) -> None:
    """Move a job to its dead letters: it is not tried again. Raises LeaseLost."""
    await _write(session, job, state="DEAD", end_time=job.clock.now())


_FENCE = [JobRow.id == sa.bindparam("held"), JobRow.attempt == sa.bindparam("mine"), JobRow.due_time > _NOW]
_FENCE.append(JobRow.state == "RUNNING")
"""Every write of a worker goes through this: same attempt, still running, lease not over."""
_ASSERT_LEASE = sa.select(JobRow.id).where(*_FENCE).with_for_update()


async def assert_lease(session: Session, job: Job) -> None:
    """Fence what a transaction writes without ending its job: the job stays ours until it commits. Raises LeaseLost."""
    if not (await session.execute(_ASSERT_LEASE, _held(job))).first():
        raise LeaseLost(job.id)


async def _write(session: AsyncSession, job: Job, **values: Any) -> None:
    statement = sa.update(Base.metadata.tables["jobs"]).where(*_FENCE).values(**values)
    if (await session.execute(statement, _held(job))).rowcount != 1:  # type: ignore[attr-defined]
        raise LeaseLost(job.id)


def _held(job: Job) -> dict[str, Any]:
    return {"held": job.id, "mine": job.attempt, "now": job.clock.real_now()}


_CANCEL = sa.text("""
UPDATE jobs SET cancel = true, state = CASE state WHEN 'RUNNING' THEN state ELSE 'CANCELLED' END,
  end_time = CASE state WHEN 'RUNNING' THEN NULL ELSE :now END
WHERE key = :key AND state IN ('WAITING', 'QUEUED', 'RUNNING') RETURNING state
""").bindparams(sa.bindparam("key", type_=sa.Text), _NOW)


async def cancel(session: Session, key: str, now: datetime.datetime) -> bool:
    """Ask a job to stop. True: it never will run. False: it runs (and learns of it by its next lease) or has ended."""
    found = await session.execute(_CANCEL, {"key": key, "now": now})
    return [row.state for row in found] == ["CANCELLED"]


async def wait(database: Database, key: str, seconds: float) -> bool:
    """Wait until a job has ended, at most so many seconds; returns whether it is DONE."""
    until = time.monotonic() + seconds
    while True:
        async with database.transaction() as session:
            state = (await session.execute(sa.select(JobRow.state).where(JobRow.key == key))).scalar()
        if state in (None, "DONE", "DEAD", "CANCELLED") or time.monotonic() > until:
            return state == "DONE"
        await asyncio.sleep(_POLL_SECONDS)


class QueueStats(NamedTuple):
    """How many jobs of a kind wait though they could run, are leased, were given up; and for how long the oldest that
    does not run could have run, in seconds."""

    queued: int = 0
    running: int = 0
    dead: int = 0
    age: float = 0.0


_QUEUE_STATS = sa.text("""
SELECT kind, count(*) FILTER (WHERE state <> 'RUNNING' AND due_time <= :now) AS queued,
  count(*) FILTER (WHERE state = 'RUNNING') AS running, 0 AS dead,
  coalesce(max(extract(epoch FROM :now - greatest(create_time, run_at))) FILTER (WHERE state <> 'RUNNING'), 0) AS age
FROM jobs WHERE end_time IS NULL AND kind = ANY(:kinds) GROUP BY kind
UNION ALL SELECT kind, 0, 0, count(*), 0 FROM jobs WHERE state = 'DEAD' AND kind = ANY(:kinds) GROUP BY kind
""").bindparams(_NOW)


async def queue_stats(session: AsyncSession, kinds: list[str], now: datetime.datetime) -> dict[str, QueueStats]:
    """Count the jobs of each of these kinds by the business time."""
    found = dict.fromkeys(kinds, QueueStats())
    for kind, *counts in await session.execute(_QUEUE_STATS, {"kinds": kinds, "now": now}):
        queued, running, dead, age = (old + float(new) for old, new in zip(found[kind], counts, strict=True))
        found[kind] = QueueStats(int(queued), int(running), int(dead), max(0.0, age))
    return found


async def sweep(session: AsyncSession, before: datetime.datetime) -> int:
    """Delete the jobs that ended before a moment (their keys may then be used again); returns how many."""
    statement = sa.delete(JobRow).where(JobRow.end_time < before, JobRow.state != "DEAD")
    return (await session.execute(statement)).rowcount  # type: ignore[attr-defined,no-any-return]

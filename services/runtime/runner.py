"""Runs jobs: claims while a slot is free, renews the leases of all it holds, retries, gives up, drains. See `jobs`."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from opentelemetry.trace import SpanKind
from sqlalchemy.ext.asyncio import AsyncSession

from services.runtime import caller, errors, jobs, metrics, telemetry, tracing
from services.runtime.clock import Clock, SystemClock
from services.runtime.database import Database
from services.runtime.jobs import Job

POLL_SECONDS = 0.2
PAUSE_SECONDS = 1.0
MIN_RETRY_SECONDS = 0.5
MAX_RETRY_SECONDS = 60.0
_STATS_SECONDS, _OLD_SECONDS = 15.0, 60.0
Handler = Callable[[Job], Awaitable[object]]
OnDead = Callable[[AsyncSession, Job], Awaitable[object]]
Ready = Callable[[], Awaitable[bool]]
log = telemetry.logger(__name__)


class Runner:
    """Runs handlers (by kind) for jobs of a database, at most `concurrency` at once, and as many again that have left
    their slots (`Job.leave_slot`) since all that is left of them needs no scarce thing.

    A handler that returns has done its job; one that raises RetryLater is tried again, which does not count as an
    attempt; another exception is tried again with growing pauses until `max_attempts`. Then the job is DEAD, and
    `on_dead[kind](session, job)` runs in the transaction that says so. A job whose worker was killed comes back when
    its lease ends. While `ready` returns False nothing is claimed.
    """

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, Handler],
        *,
        clock: Clock | None = None,
        name: str = "runner",
        lease_seconds: float = 30.0,
        lease_renewal_seconds: float = 5.0,
        concurrency: int = 4,
        on_dead: Mapping[str, OnDead] | None = None,
        ready: Ready | None = None,
    ) -> None:
        self.database = database
        self._handlers = dict(handlers)
        self._on_dead = dict(on_dead or {})
        self._ready = ready
        self._clock = clock or SystemClock()
        self._name = name
        self._lease, self._renewal = lease_seconds, lease_renewal_seconds
        self._slots, self._most = asyncio.Semaphore(concurrency), 2 * concurrency
        self._held: dict[str, tuple[Job, asyncio.Task[None]]] = {}
        self._waker = jobs.Waker()
        self._draining = False
        self._promoted = 0.0

    async def run(self) -> None:
        """Work until drained. A database that does not answer is waited for."""
        beside = [asyncio.create_task(self._renew_for_ever()), asyncio.create_task(self._count_for_ever())]
        try:
            while not self._draining:
                try:
                    await self._turn()
                except Exception as fault:  # noqa: BLE001  the loop outlives whatever the database does
                    log.fault("runner_stumbled", fault, worker=self._name)
                    await asyncio.sleep(PAUSE_SECONDS)
            await self._until_free()
        finally:
            for task in [*beside, *(task for _, task in self._held.values())]:
                task.cancel()

    async def drain(self, seconds: float) -> None:
        """Claim nothing more; let the held jobs end within so many seconds, then stop them and hand them back."""
        self._draining = True
        self._waker.wake()
        tasks = [task for _, task in self._held.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def run_due(self) -> int:
        """Run everything that is due now, one after the other; returns how many. For tests and commands."""
        worked = 0
        while job := await self._next():
            await self._work(job)
            worked += 1
        return worked

    async def _turn(self) -> None:
        """Claim one job as soon as a slot is free, or wait for the next poll."""
        await self._slots.acquire()
        job = None
        try:
            await self._until_room()
            self._waker.event.clear()
            if not self._draining and (self._ready is None or await self._ready()):
                job = await self._next(POLL_SECONDS)
        finally:
            if job is None:
                self._slots.release()
        if job is not None and self._draining:
            claimed = job
            await self._close(claimed, lambda session: jobs.release(session, claimed))
            self._slots.release()
        elif job is not None:
            self._stop_earlier(job.id)
            job.slot = self._slots
            task = asyncio.create_task(self._hold(job))
            self._held[job.id] = (job, task)
        elif not self._draining:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._waker.event.wait(), POLL_SECONDS)

    async def _until_room(self) -> None:
        """Wait while too many jobs that have left their slots are not at their end yet."""
        while len(self._held) >= self._most and not self._draining:
            tasks = [task for _, task in self._held.values()]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=POLL_SECONDS)

    def _stop_earlier(self, job_id: str) -> None:
        """Stop the handler of an earlier attempt: a process that was frozen may claim again what it still works on."""
        if job_id in self._held:
            job, task = self._held[job_id]
            job.lost.set()
            task.cancel()

    async def _next(self, pause: float = 0.0) -> Job | None:
        """Claim a job; what became due is queued before, unless that was done within the pause."""
        kinds = list(self._handlers)
        if time.monotonic() - self._promoted >= pause:
            self._promoted = time.monotonic()
            async with self.database.autocommit() as session:
                await jobs.promote(session, kinds, self._clock)
        async with self.database.autocommit() as session:
            return await jobs.claim(session, kinds, self._name, self._clock, self._lease)

    async def _hold(self, job: Job) -> None:
        try:
            await self._work(job)
        finally:
            if job.id in self._held and self._held[job.id][0] is job:
                self._held.pop(job.id)
            job.leave_slot()

    async def _work(self, job: Job) -> None:
        """Run one job to an end of some kind; nothing escapes but a cancellation."""
        call = caller.Call(f"job/{job.kind}", job.id)
        opened = tracing.begin(call, job.trace, SpanKind.CONSUMER)
        current = caller.enter(call)
        started, outcome = time.monotonic(), "stopped"
        try:
            outcome = await self._attempt(job)
        except asyncio.CancelledError:
            if not job.lost.is_set():
                await asyncio.shield(self._close(job, lambda session: jobs.release(session, job)))
            raise
        finally:
            seconds = time.monotonic() - started
            metrics.observe("filmgate_job_duration_seconds", seconds, kind=job.kind, outcome=outcome)
            told: dict[str, Any] = {"kind": job.kind, "attempt": job.attempt, "outcome": outcome}
            log.info("job", job=job.id, milliseconds=round(seconds * 1000, 1), **told)
            caller.leave(current)
            tracing.end(opened, failed=outcome in ("retried", "dead"), **told)

    async def _attempt(self, job: Job) -> str:
        """Try once; returns how it went: done, later, retried, dead, or lost with the lease."""
        if job.max_attempts is not None and job.tries > job.max_attempts:
            return await self._give_up(job)  # its last worker died with it
        try:
            await self._handlers[job.kind](job)
            if not job.ended:
                await self._close(job, lambda session: jobs.finish(session, job))
        except jobs.LeaseLost:
            log.warning("lease_lost", kind=job.kind, job=job.id, attempt=job.attempt)
            return "lost"
        except jobs.RetryLater as later:
            seconds = later.seconds
            await self._close(job, lambda session: jobs.reschedule(session, job, seconds, excused=True))
            return "later"
        except Exception as fault:  # noqa: BLE001  whatever a handler raises is a failed try
            return await self._blame(job, fault)
        return "done"

    async def _blame(self, job: Job, fault: Exception) -> str:
        reason = fault.kind.reason if isinstance(fault, errors.Failure) else type(fault).__name__
        log.fault("job_failed", fault, kind=job.kind, job=job.id, attempt=job.attempt, reason=reason)
        if job.max_attempts is not None and job.tries >= job.max_attempts:
            return await self._give_up(job)
        pause = min(MAX_RETRY_SECONDS, MIN_RETRY_SECONDS * 2 ** min(job.tries - 1, 10))
        pause *= 0.8 + 0.4 * random.random()  # noqa: S311  spreads retries, guards nothing
        await self._close(job, lambda session: jobs.reschedule(session, job, pause, excused=False, error=reason))
        return "retried"

    async def _give_up(self, job: Job) -> str:
        """Tell the job's owner in the transaction that makes it DEAD; if that fails it is told again later."""

        async def end(session: AsyncSession) -> None:
            if job.kind in self._on_dead:
                await self._on_dead[job.kind](session, job)
            await jobs.dead_letter(session, job)

        if await self._close(job, end):
            log.error("job_dead", kind=job.kind, job=job.id, attempt=job.attempt)
            return "dead"
        await self._close(
            job, lambda session: jobs.reschedule(session, job, MAX_RETRY_SECONDS, excused=False, error="dead letter")
        )
        return "retried"

    async def _close(self, job: Job, write: Callable[[AsyncSession], Awaitable[None]]) -> bool:
        """Write an end; when that fails the lease runs out and the job comes back. Returns whether it was written."""
        try:
            async with self.database.transaction() as session:
                await write(session)
        except jobs.LeaseLost:
            log.warning("lease_lost", kind=job.kind, job=job.id, attempt=job.attempt)
        except Exception as fault:  # noqa: BLE001  the lease ends by itself
            log.fault("job_not_closed", fault, kind=job.kind, job=job.id)
        else:
            return True
        return False

    async def _renew_for_ever(self) -> None:
        """Renew all leases in one statement, in a task of its own, so that a busy handler does not stop it."""
        while True:
            await asyncio.sleep(self._renewal)
            await self.renew_leases()

    async def _count_for_ever(self) -> None:
        while True:
            await self.count()
            await asyncio.sleep(_STATS_SECONDS)

    async def count(self) -> None:
        """Measure the queues once. A kind of which a job has waited long is said: an effect that does not arrive must
        not go unnoticed."""
        try:
            async with self.database.transaction() as session:
                found = await jobs.queue_stats(session, list(self._handlers), self._clock.now())
        except Exception as fault:  # noqa: BLE001  the next count may reach the database
            log.warning("jobs_not_counted", error=fault, worker=self._name)
            return
        for kind, of in found.items():
            metrics.set_gauge("filmgate_jobs_queued", of.queued, kind=kind)
            metrics.set_gauge("filmgate_jobs_running", of.running, kind=kind)
            metrics.set_gauge("filmgate_jobs_dead", of.dead, kind=kind)
            metrics.set_gauge("filmgate_jobs_queue_age_seconds", of.age, kind=kind)
            if of.age > _OLD_SECONDS:
                log.warning("jobs_old", kind=kind, seconds=round(of.age))

    async def renew_leases(self) -> None:
        """Extend all leases once, and stop the handlers of jobs whose lease is gone or cannot be extended in time."""
        working = list(self._held.values())
        held = [job for job, _ in working]
        if not held:
            return
        alive: set[str] | None = None
        try:
            async with self.database.autocommit() as session:
                alive = await jobs.renew_leases(session, held, self._clock, self._lease)
        except Exception as fault:  # noqa: BLE001  the next renewal may reach the database
            log.fault("lease_renewal_failed", fault, worker=self._name)
        now = self._clock.real_now()
        for job, task in working:
            gone = job.lease_until <= now if alive is None else job.id not in alive
            if gone and not job.ended:
                job.lost.set()
                task.cancel()

    async def _until_free(self) -> None:
        while tasks := [task for _, task in self._held.values()]:
            await asyncio.wait(tasks)

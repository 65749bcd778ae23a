"""Working jobs off: success, retry, giving up, losing the lease, draining."""

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from services.runtime import caller, errors, jobs
from services.runtime.database import Database
from services.runtime.jobs import Job
from services.runtime.runner import Runner
from tests.support.clock import FakeClock
from tests.support.waiting import steps, until
from tests.unit.runtime.test_jobs import put, row

Handler = Callable[[Job], Awaitable[object]]


def runner(database: Database, clock: FakeClock, handler: Handler, **options: Any) -> Runner:
    return Runner(database, {"film": handler}, clock=clock, **options)


async def state(database: Database, key: str = "k") -> str:
    return (await row(database, key)).state


async def nothing(_: Job) -> None:
    return


async def test_a_handler_that_returns_has_done_its_job(database: Database, clock: FakeClock) -> None:
    await put(database, "k")
    assert await runner(database, clock, nothing).run_due() == 1
    assert await state(database) == "DONE"


async def test_a_handler_may_finish_in_its_own_transaction(database: Database, clock: FakeClock) -> None:
    async def work(job: Job) -> None:
        async with database.transaction() as session:
            await jobs.enqueue(session, "next", "n", {}, clock.now())
            await jobs.finish(session, job)

    await put(database, "k")
    await runner(database, clock, work).run_due()
    assert await state(database) == "DONE"
    assert await state(database, "n") == "QUEUED"


async def test_a_failed_try_comes_back_after_a_growing_pause(database: Database, clock: FakeClock) -> None:
    tries: list[int] = []

    async def work(job: Job) -> None:
        tries.append(job.tries)
        if len(tries) < 4:
            raise errors.PEER_UNAVAILABLE()

    await put(database, "k")
    worker = runner(database, clock, work)
    for _ in range(3):
        assert await worker.run_due() == 1
        assert await worker.run_due() == 0
        assert (await row(database, "k")).error == "PEER_UNAVAILABLE"
        clock.advance(0.6 * 2 ** len(tries) / 2)
    assert await worker.run_due() == 1
    assert tries == [1, 2, 3, 4]
    assert await state(database) == "DONE"


async def test_the_pause_ends_at_a_minute(database: Database, clock: FakeClock) -> None:
    async def work(_: Job) -> None:
        raise ValueError

    await put(database, "k")
    worker = runner(database, clock, work)
    for _ in range(40):
        assert await worker.run_due() == 1
        clock.advance(72)
    assert (await row(database, "k")).attempt == 40


async def test_later_is_no_blame(database: Database, clock: FakeClock) -> None:
    tries: list[int] = []

    async def work(job: Job) -> None:
        tries.append(job.tries)
        if len(tries) < 5:
            raise jobs.RetryLater(3)

    await put(database, "k", max_attempts=1)
    worker = runner(database, clock, work)
    for _ in range(5):
        assert await worker.run_due() == 1
        clock.advance(3)
    assert tries == [1] * 5
    assert await state(database) == "DONE"


async def test_after_its_attempts_a_job_is_dead_and_its_owner_is_told_in_that_transaction(
    database: Database, clock: FakeClock
) -> None:
    told: list[str] = []

    async def on_dead(session: Any, job: Job) -> None:
        told.append(job.key)
        await jobs.enqueue(session, "film_failed", f"failed:{job.key}", {}, job.clock.now())

    async def work(_: Job) -> None:
        raise RuntimeError

    await put(database, "k", max_attempts=2)
    worker = runner(database, clock, work, on_dead={"film": on_dead})
    await worker.run_due()
    assert told == []
    clock.advance(5)
    await worker.run_due()
    assert told == ["k"]
    assert await state(database) == "DEAD"
    assert await state(database, "failed:k") == "QUEUED"


async def test_a_job_that_kills_its_workers_dies_too(database: Database, clock: FakeClock) -> None:
    """The attempt is counted at the claim: a worker that never comes back has used one."""
    begun: list[int] = []

    async def work(job: Job) -> None:
        begun.append(job.tries)

    await put(database, "k", max_attempts=2)
    for _ in range(2):
        async with database.transaction() as session:
            await jobs.promote(session, ["film"], clock)
            assert await jobs.claim(session, ["film"], "killed", clock, 30)
        clock.advance(30)
    await runner(database, clock, work).run_due()
    assert begun == []
    assert await state(database) == "DEAD"


async def test_an_owner_who_cannot_be_told_is_told_later(database: Database, clock: FakeClock) -> None:
    told: list[str] = []

    async def on_dead(_: Any, job: Job) -> None:
        told.append(job.key)
        if len(told) < 2:
            raise RuntimeError

    async def work(_: Job) -> None:
        raise RuntimeError

    await put(database, "k", max_attempts=1)
    worker = runner(database, clock, work, on_dead={"film": on_dead})
    await worker.run_due()
    assert await state(database) == "WAITING"
    clock.advance(60)
    await worker.run_due()
    assert (told, await state(database)) == (["k", "k"], "DEAD")


async def test_a_job_has_a_request_id_of_its_own(database: Database, clock: FakeClock) -> None:
    seen: list[str] = []

    async def work(job: Job) -> None:
        seen.append(caller.request_id())
        assert caller.request_id() == job.id

    await put(database, "k")
    await runner(database, clock, work).run_due()
    assert seen
    assert caller.request_id() == ""


async def test_the_loop_wakes_for_a_new_job_without_waiting_for_its_poll(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.runtime import runner as module

    monkeypatch.setattr(module, "POLL_SECONDS", 60)
    done = asyncio.Event()

    async def work(_: Job) -> None:
        done.set()

    looked = asyncio.Event()

    async def later() -> bool:
        """Not ready at the first turn, after which the loop waits without another look at the database."""
        if looked.is_set():
            return True
        looked.set()
        return False

    worker = runner(database, clock, work, ready=later)
    running = asyncio.create_task(worker.run())
    await looked.wait()
    await put(database, "k")
    await asyncio.wait_for(done.wait(), 60)
    await worker.drain(5)
    await asyncio.wait_for(running, 60)


async def test_no_more_run_at_once_than_there_are_slots(database: Database, clock: FakeClock) -> None:
    now, most, done = 0, 0, 0
    full = asyncio.Event()

    async def work(job: Job) -> None:
        nonlocal now, most, done
        now, most = now + 1, max(most, now + 1)
        if now == 3:
            full.set()
        await full.wait()
        for _ in range(5):  # longer than a claim takes: a fourth would come meanwhile
            await row(database, job.key)
        now, done = now - 1, done + 1

    for number in range(12):
        await put(database, f"k{number}")
    worker = runner(database, clock, work, concurrency=3)
    running = asyncio.create_task(worker.run())
    await until(lambda: done == 12)
    assert most == 3
    await worker.drain(5)
    await asyncio.wait_for(running, 60)


async def held(database: Database, clock: FakeClock, **options: Any) -> tuple[Runner, "asyncio.Task[None]", list[Any]]:
    """A runner in the middle of a job that does not end by itself; the list takes what becomes of it.

    It has one slot: with another it would claim the same job again as soon as its lease has ended.
    """
    seen: list[Any] = []
    begun = asyncio.Event()

    async def work(job: Job) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(job.lost.is_set())
            raise

    await put(database, "k")
    worker = runner(database, clock, work, lease_renewal_seconds=3600, **{"concurrency": 1, **options})
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(begun.wait(), 60)
    return worker, running, seen


async def test_a_renewal_that_finds_the_lease_gone_stops_the_handler(database: Database, clock: FakeClock) -> None:
    worker, running, seen = await held(database, clock)
    clock.advance(10)
    await worker.renew_leases()
    assert seen == []
    clock.advance(30)
    async with database.transaction() as session:
        await jobs.promote(session, ["film"], clock)
        taken = await jobs.claim(session, ["film"], "other", clock, 30)
    assert taken is not None
    await worker.renew_leases()
    await asyncio.sleep(0)
    await until(lambda: seen == [True])
    assert (await row(database, "k")).worker == "other"
    await worker.drain(1)
    await asyncio.wait_for(running, 60)
    assert (await row(database, "k")).attempt == taken.attempt


async def test_a_drain_hands_back_what_does_not_end_in_time(database: Database, clock: FakeClock) -> None:
    worker, running, seen = await held(database, clock)
    await worker.drain(0.05)
    await asyncio.wait_for(running, 60)
    found = await row(database, "k")
    assert (seen, found.state, found.excused) == ([False], "QUEUED", 1)


async def test_what_is_claimed_while_the_drain_begins_is_handed_back(database: Database, clock: FakeClock) -> None:
    async def work(_: Job) -> None:
        await asyncio.Event().wait()

    await put(database, "k")
    worker = runner(database, clock, work)
    async with database.transaction() as session:
        await session.execute(sa.text("LOCK TABLE job_pools IN EXCLUSIVE MODE"))
        running = asyncio.create_task(worker.run())
        await until(lambda: _waits(database))
        await worker.drain(0)
    await asyncio.wait_for(running, 60)
    found = await row(database, "k")
    assert (found.state, found.attempt - found.excused) == ("QUEUED", 0)


async def _waits(database: Database) -> bool:
    async with database.transaction() as session:
        return (await session.execute(sa.text("SELECT 1 FROM pg_locks WHERE NOT granted"))).first() is not None


async def test_a_drain_waits_for_what_ends_in_time(database: Database, clock: FakeClock) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def work(_: Job) -> None:
        begun.set()
        await go.wait()

    await put(database, "k")
    await put(database, "k2")
    worker = runner(database, clock, work, concurrency=1)
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(begun.wait(), 60)
    draining = asyncio.create_task(worker.drain(10))
    await steps()  # the drain has begun
    go.set()
    await asyncio.wait_for(draining, 60)
    await asyncio.wait_for(running, 60)
    assert (await state(database), await state(database, "k2")) == ("DONE", "QUEUED")


async def test_without_a_database_the_handler_goes_on_until_its_lease_ends(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, running, seen = await held(database, clock)

    async def down(*_: Any) -> set[str]:
        raise ConnectionError

    monkeypatch.setattr(jobs, "renew_leases", down)
    clock.advance(29)
    await worker.renew_leases()
    await steps()
    assert seen == []
    clock.advance(1)
    await worker.renew_leases()
    await until(lambda: seen == [True])
    await worker.drain(1)
    await asyncio.wait_for(running, 60)


async def test_the_loop_outlives_an_outage(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.runtime import runner as module

    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    real, broken = jobs.claim, [1, 2, 3]

    async def flaky(*arguments: Any) -> Job | None:
        if broken:
            broken.pop()
            raise ConnectionError
        return await real(*arguments)

    monkeypatch.setattr(jobs, "claim", flaky)
    await put(database, "k")
    worker = runner(database, clock, nothing)
    running = asyncio.create_task(worker.run())
    await until(lambda: _done(database))
    await worker.drain(1)
    await asyncio.wait_for(running, 60)
    assert broken == []


async def _done(database: Database) -> bool:
    return await state(database) == "DONE"


async def test_a_job_that_waits_too_long_is_told(
    database: Database, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await put(database, "k")
    worker = runner(database, clock, nothing)
    with caplog.at_level("WARNING", "filmgate"):
        await worker.count()
        assert "jobs_old" not in caplog.text
        clock.advance(300)
        await worker.count()
    assert "jobs_old" in caplog.text


async def test_a_process_that_wakes_and_claims_what_it_still_works_on_does_it_once(
    database: Database, clock: FakeClock
) -> None:
    worker, running, seen = await held(database, clock, concurrency=3)
    clock.advance(31)
    await until(lambda: seen == [True])
    clock.advance(10)
    await worker.renew_leases()
    found = await row(database, "k")
    assert (found.attempt, found.due_time) == (2, clock.now() + datetime.timedelta(seconds=30))
    await worker.drain(0)
    await asyncio.wait_for(running, 60)
    assert (seen, (await row(database, "k")).excused) == ([True, False], 1)

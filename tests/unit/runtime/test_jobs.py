"""The queue: order, fair share, leases, fences."""

import asyncio
import collections
import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from services.runtime import jobs
from services.runtime.database import Database
from services.runtime.jobs import Job, JobRow
from tests.support.clock import START, FakeClock

LEASE = 30.0


async def put(database: Database, key: str, kind: str = "film", **options: Any) -> bool:
    async with database.transaction() as session:
        return await jobs.enqueue(session, kind, key, options.pop("payload", {}), START, **options)


async def take(database: Database, clock: FakeClock, *kinds: str, worker: str = "w") -> Job | None:
    wanted = list(kinds or ("film",))
    async with database.transaction() as session:
        await jobs.promote(session, wanted, clock)
    async with database.transaction() as session:
        return await jobs.claim(session, wanted, worker, clock, LEASE)


async def took(database: Database, clock: FakeClock, *kinds: str) -> Job:
    job = await take(database, clock, *kinds)
    assert job is not None
    return job


async def end(database: Database, job: Job) -> None:
    async with database.transaction() as session:
        await jobs.finish(session, job)


async def row(database: Database, key: str) -> JobRow:
    async with database.transaction() as session:
        return (await session.scalars(sa.select(JobRow).where(JobRow.key == key))).one()


async def drain(database: Database, clock: FakeClock, *kinds: str) -> list[str]:
    """Claim and finish all that is there; returns the keys in their order."""
    keys = []
    while job := await take(database, clock, *kinds):
        keys.append(job.key)
        await end(database, job)
    return keys


async def test_a_job_is_what_was_enqueued(database: Database, clock: FakeClock) -> None:
    await put(database, "k", payload={"video": "vid_1", "n": 2}, tenant="org_1", max_attempts=3)
    job = await took(database, clock)
    assert (job.kind, job.key, job.payload, job.tenant) == ("film", "k", {"video": "vid_1", "n": 2}, "org_1")
    assert (job.attempt, job.tries, job.max_attempts, job.ended) == (1, 1, 3, False)
    assert await take(database, clock) is None


async def test_a_key_is_enqueued_once_even_after_its_end(database: Database, clock: FakeClock) -> None:
    assert await put(database, "k")
    assert not await put(database, "k")
    await end(database, await took(database, clock))
    assert not await put(database, "k")


async def test_a_rolled_back_cause_leaves_no_job(database: Database, clock: FakeClock) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  what rolls back is the block
        async with database.transaction() as session:
            await jobs.enqueue(session, "film", "k", {}, START)
            raise ZeroDivisionError
    assert await take(database, clock) is None


async def test_order_is_priority_then_age(database: Database, clock: FakeClock) -> None:
    for key, priority in (("a", 100), ("b", 50), ("c", 100), ("d", 50)):
        await put(database, key, priority=priority)
    assert await drain(database, clock) == ["b", "d", "a", "c"]


async def test_only_the_wanted_kinds_are_claimed_in_one_order(database: Database, clock: FakeClock) -> None:
    for key, kind, priority in (("a", "x", 100), ("b", "y", 10), ("c", "z", 1), ("d", "x", 5)):
        await put(database, key, kind, priority=priority)
    assert await drain(database, clock, "x", "y") == ["d", "b", "a"]


async def test_a_later_job_waits_for_its_time(database: Database, clock: FakeClock) -> None:
    await put(database, "k", run_at=clock.now() + datetime.timedelta(seconds=60))
    clock.advance(59.9)
    assert await take(database, clock) is None
    clock.advance(0.1)
    assert (await took(database, clock)).key == "k"


async def test_tenants_share_by_cost(database: Database, clock: FakeClock) -> None:
    for number in range(6):
        await put(database, f"hog{number}", tenant="hog", cost=10)
    for number in range(3):
        await put(database, f"small{number}", tenant="small", cost=10)
    assert await drain(database, clock) == [
        "hog0", "small0", "hog1", "small1", "hog2", "small2", "hog3", "hog4", "hog5",
    ]  # fmt: skip


async def test_weight_buys_a_larger_share(database: Database, clock: FakeClock) -> None:
    for number in range(4):
        await put(database, f"heavy{number}", tenant="heavy", cost=10, weight=2)
        await put(database, f"light{number}", tenant="light", cost=10)
    order = await drain(database, clock)
    assert [key[:5] for key in order[:6]].count("heavy") == 4


async def test_a_newcomer_begins_at_the_present_and_not_at_nought(database: Database, clock: FakeClock) -> None:
    for number in range(10):
        await put(database, f"old{number}", tenant="old", cost=1)
    for _ in range(5):
        await end(database, await took(database, clock))
    for number in range(10):
        await put(database, f"new{number}", tenant="new", cost=1)
    order = await drain(database, clock)
    assert 4 <= sum(key.startswith("new") for key in order[:10]) <= 6


async def test_an_idle_tenant_saves_nothing_up_and_owes_nothing(database: Database, clock: FakeClock) -> None:
    await put(database, "rest0", tenant="rest", cost=1)
    for number in range(8):
        await put(database, f"busy{number}", tenant="busy", cost=1)
    await drain(database, clock)
    for number in range(3):
        await put(database, f"busy-{number}", tenant="busy", cost=1)
        await put(database, f"rest-{number}", tenant="rest", cost=1)
    order = [key[:4] for key in await drain(database, clock)]
    assert sorted(order[:2]) == sorted(order[2:4]) == ["busy", "rest"]


async def test_a_second_enqueue_costs_its_tenant_nothing(database: Database, clock: FakeClock) -> None:
    for _ in range(9):
        await put(database, "a0", tenant="a", cost=5)
    await put(database, "b0", tenant="b", cost=6)
    await put(database, "a1", tenant="a", cost=5)
    await put(database, "b1", tenant="b", cost=6)
    assert await drain(database, clock) == ["a0", "b0", "a1", "b1"]


async def test_a_burst_of_one_tenant_gets_no_common_place(database: Database, clock: FakeClock) -> None:
    await asyncio.gather(*(put(database, f"hog{number}", tenant="hog", cost=1) for number in range(8)))
    for number in range(4):
        await put(database, f"b{number}", tenant="b", cost=1)
    order = await drain(database, clock)
    assert [key[0] for key in order[:8]].count("b") == 4


async def test_sixteen_at_once_claim_each_job_once_and_serve_all_tenants(database: Database, clock: FakeClock) -> None:
    for number in range(160):
        await put(database, f"hog {number}", tenant="hog", cost=1)
    for tenant in range(19):
        for number in range(2):
            await put(database, f"t{tenant} {number}", tenant=f"t{tenant}", cost=1)
    order: list[str] = []

    async def work(worker: int) -> None:
        while len(order) < 40:
            job = await take(database, clock, worker=f"w{worker}")
            assert job is not None
            order.append(job.key)
            await end(database, job)

    await asyncio.gather(*(work(worker) for worker in range(16)))
    assert len(set(order)) == len(order)
    by_tenant = collections.Counter(key.split()[0] for key in order[:40])
    assert len(by_tenant) == 20
    assert max(by_tenant.values()) <= 4


async def test_an_expired_lease_is_taken_over_with_the_next_attempt(database: Database, clock: FakeClock) -> None:
    await put(database, "k")
    first = await took(database, clock)
    clock.advance(LEASE - 0.1)
    assert await take(database, clock) is None
    clock.advance(0.1)
    second = await took(database, clock)
    assert (second.id, second.attempt) == (first.id, 2)


async def test_a_renewal_keeps_the_lease(database: Database, clock: FakeClock) -> None:
    await put(database, "k")
    job = await took(database, clock)
    for _ in range(5):
        clock.advance(LEASE - 1)
        async with database.transaction() as session:
            assert await jobs.renew_leases(session, [job], clock, LEASE) == {job.id}
    assert await take(database, clock) is None
    await end(database, job)


async def test_a_business_time_that_jumps_makes_waiting_jobs_due_and_ends_no_lease(
    database: Database, clock: FakeClock
) -> None:
    await put(database, "running")
    await put(database, "deadline", run_at=START + datetime.timedelta(days=39))
    await put(database, "later", run_at=START + datetime.timedelta(days=41))
    running = await took(database, clock)
    clock.jump(days=40)
    deadline = await took(database, clock)
    assert deadline.key == "deadline"
    assert await take(database, clock) is None
    async with database.transaction() as session:
        assert await jobs.renew_leases(session, [running, deadline], clock, LEASE) == {running.id, deadline.id}
    await end(database, running)
    assert (await row(database, "running")).end_time == START + datetime.timedelta(days=40)
    clock.advance(LEASE)
    again = await took(database, clock)
    assert (again.id, again.attempt) == (deadline.id, 2), "a lease ends by the host's clock, moved or not"
    async with database.transaction() as session:
        await jobs.reschedule(session, again, 60, excused=True)
    clock.advance(59)
    assert await take(database, clock) is None
    clock.advance(1)
    assert (await took(database, clock)).id == deadline.id


async def test_a_job_is_as_old_as_the_time_that_its_cause_gave(database: Database, clock: FakeClock) -> None:
    await put(database, "k")
    assert (await row(database, "k")).create_time == START


@pytest.mark.parametrize("taken_over", [False, True])
async def test_a_worker_that_slept_past_its_lease_writes_nothing(
    database: Database, clock: FakeClock, taken_over: bool
) -> None:
    """As after SIGSTOP: refused also when nobody has taken the job over yet."""
    await put(database, "k")
    sleeper = await took(database, clock)
    clock.advance(LEASE)
    if taken_over:
        await took(database, clock)
    for write in (
        lambda session: jobs.finish(session, sleeper),
        lambda session: jobs.release(session, sleeper),
        lambda session: jobs.reschedule(session, sleeper, 1, excused=True),
        lambda session: jobs.dead_letter(session, sleeper),
    ):
        with pytest.raises(jobs.LeaseLost):
            async with database.transaction() as session:
                await write(session)
    async with database.transaction() as session:
        assert await jobs.renew_leases(session, [sleeper], clock, LEASE) == set()
    assert (await row(database, "k")).state == "RUNNING"
    assert not sleeper.ended


async def test_a_refused_finish_rolls_the_effect_back(database: Database, clock: FakeClock) -> None:
    await put(database, "k")
    job = await took(database, clock)
    clock.advance(LEASE)
    with pytest.raises(jobs.LeaseLost):  # noqa: PT012  what rolls back is the block
        async with database.transaction() as session:
            await jobs.enqueue(session, "effect", "e", {}, START)
            await jobs.finish(session, job)
    assert await take(database, clock, "effect") is None


async def test_a_finish_that_is_not_committed_yet_is_not_taken_over(database: Database, clock: FakeClock) -> None:
    await put(database, "k")
    job = await took(database, clock)
    async with database.transaction() as session:
        await jobs.finish(session, job)
        clock.advance(LEASE * 2)
        assert await take(database, clock) is None
    assert (await row(database, "k")).state == "DONE"


async def test_a_released_job_is_free_at_once_and_not_counted(database: Database, clock: FakeClock) -> None:
    await put(database, "k")
    first = await took(database, clock)
    async with database.transaction() as session:
        await jobs.release(session, first)
    second = await took(database, clock)
    assert (second.attempt, second.tries) == (2, 1)
    with pytest.raises(jobs.LeaseLost):
        await end(database, first)


async def test_a_job_put_off_comes_back_in_time(database: Database, clock: FakeClock) -> None:
    await put(database, "k")
    job = await took(database, clock)
    async with database.transaction() as session:
        await jobs.reschedule(session, job, 5, excused=False, error="X")
    assert await take(database, clock) is None
    clock.advance(5)
    assert (await took(database, clock)).tries == 2


async def test_cancel(database: Database, clock: FakeClock) -> None:
    await put(database, "queued")
    await put(database, "waiting", run_at=clock.now() + datetime.timedelta(seconds=9))
    async with database.transaction() as session:
        assert await jobs.cancel(session, "queued", START)
        assert await jobs.cancel(session, "waiting", START)
        assert not await jobs.cancel(session, "queued", START)
        assert not await jobs.cancel(session, "unknown", START)
    clock.advance(10)
    assert await take(database, clock) is None


async def test_a_running_job_is_told_of_a_cancel_at_its_renewal_and_at_its_next_claim(
    database: Database, clock: FakeClock
) -> None:
    await put(database, "k")
    job = await took(database, clock)
    async with database.transaction() as session:
        assert not await jobs.cancel(session, "k", START)
    assert not job.cancelled.is_set()
    async with database.transaction() as session:
        await jobs.renew_leases(session, [job], clock, LEASE)
    assert job.cancelled.is_set()
    clock.advance(LEASE)
    assert (await took(database, clock)).cancelled.is_set()


async def test_wait_ends_with_the_job_or_the_time(database: Database, clock: FakeClock) -> None:
    await put(database, "k")
    job = await took(database, clock)
    assert not await jobs.wait(database, "k", 0.05)
    waiting = asyncio.create_task(jobs.wait(database, "k", 10))
    await end(database, job)
    assert await asyncio.wait_for(waiting, 60)
    assert not await jobs.wait(database, "unknown", 10)


async def test_the_census_counts_what_waits_runs_and_was_given_up(database: Database, clock: FakeClock) -> None:
    async def count() -> jobs.QueueStats:
        async with database.transaction() as session:
            return (await jobs.queue_stats(session, ["film", "other"], clock.now()))["film"]

    assert await count() == jobs.QueueStats()
    await put(database, "later", run_at=START + datetime.timedelta(hours=1))
    assert await count() == jobs.QueueStats()
    await put(database, "k")
    async with database.transaction() as session:
        await session.execute(
            sa.update(JobRow).where(JobRow.key == "k").values(create_time=START - datetime.timedelta(days=900))
        )
    waiting = await count()
    assert waiting.queued == 1
    assert waiting.age > 86400 * 800
    job = await took(database, clock)
    assert await count() == jobs.QueueStats(running=1)
    async with database.transaction() as session:
        await jobs.dead_letter(session, job)
    assert await count() == jobs.QueueStats(dead=1)


async def test_the_sweep_removes_what_ended_but_not_the_dead(database: Database, clock: FakeClock) -> None:
    for key in ("done", "dead", "open"):
        await put(database, key)
    await end(database, await took(database, clock))
    dead = await took(database, clock)
    async with database.transaction() as session:
        await jobs.dead_letter(session, dead)
    async with database.transaction() as session:
        assert await jobs.sweep(session, clock.now()) == 0
        assert await jobs.sweep(session, clock.now() + datetime.timedelta(seconds=1)) == 1
    assert await put(database, "done")


async def test_a_claim_reads_the_index_and_not_the_table(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(
            sa.text(
                "INSERT INTO jobs (id, kind, key, payload, tenant, state, priority, vft, create_time, run_at, due_time)"
                " SELECT 'job_' || n, 'film', 'k' || n, '{}', '', 'QUEUED', 100, n, 'epoch', 'epoch', 'epoch' "
                "FROM generate_series(1, 20000) AS n"
            )
        )
    async with database.transaction() as session:
        await session.execute(sa.text("SET LOCAL enable_seqscan = on"))
        values = {"kinds": ["film", "other"], "worker": "w", "until": START}
        explained = sa.text(f"EXPLAIN {jobs._CLAIM}")
        plan = "\n".join((await session.execute(explained, values)).scalars())
    assert "jobs_queue" in plan
    assert "Seq Scan on jobs" not in plan

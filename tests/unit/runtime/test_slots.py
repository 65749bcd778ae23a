"""Slots that are left early."""

import asyncio

from services.runtime.database import Database
from services.runtime.jobs import Job
from tests.support.clock import FakeClock
from tests.unit.runtime.test_jobs import put
from tests.unit.runtime.test_runner import Handler, runner, state, until


async def worked(database: Database, clock: FakeClock, handler: Handler, count: int) -> None:
    """Let a runner with one slot work off so many jobs."""
    keys = [str(number) for number in range(count)]
    for key in keys:
        await put(database, key)
    working = runner(database, clock, handler, concurrency=1)
    running = asyncio.create_task(working.run())

    async def all_done() -> bool:
        return [await state(database, key) for key in keys] == ["DONE"] * count

    await until(all_done)
    await working.drain(5)
    await running


async def test_a_job_that_leaves_its_slot_lets_the_next_one_begin(database: Database, clock: FakeClock) -> None:
    """And as many again as there are slots are held in all, not more."""
    now, most, two = 0, 0, asyncio.Event()

    async def work(job: Job) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now == 2:
            two.set()
        job.leave_slot()
        await two.wait()
        now -= 1

    await worked(database, clock, work, 6)
    assert most == 2


async def test_a_slot_that_was_left_is_not_given_back_twice(database: Database, clock: FakeClock) -> None:
    now, most = 0, 0

    async def work(job: Job) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        job.leave_slot()
        job.leave_slot()

    await worked(database, clock, work, 12)
    assert most == 1

"""Ended jobs go when their term is over, and nothing else does."""

import asyncio

from services.privacy.retention.sweep import Sweep
from services.runtime import jobs
from services.runtime.runner import Runner

DAY = 24 * 3600.0


async def answer(_job: jobs.Job) -> None:
    """Does nothing, at once."""


async def test_ended_jobs_go_after_seven_days_and_open_ones_stay(database, clock):
    async with database.transaction() as session:
        await jobs.enqueue(session, "done", "done/1", {}, clock.now())
        await jobs.enqueue(session, "open", "open/1", {}, clock.now())
    assert await Runner(database, {"done": answer}, clock=clock).run_due() == 1
    sweep = Sweep(database, clock)
    clock.advance(7 * DAY - 1)
    assert await sweep.sweep() == 0
    clock.advance(2)
    assert await sweep.sweep() == 1
    clock.advance(365 * DAY)
    assert await sweep.sweep() == 0


async def test_it_ends_when_it_is_drained(database, clock):
    sweep = Sweep(database, clock)
    running = asyncio.create_task(sweep.run())
    await sweep.drain(1)
    await asyncio.wait_for(running, 60)

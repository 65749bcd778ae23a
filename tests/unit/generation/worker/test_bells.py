"""A bell that one process rings is heard in another."""

import asyncio
from functools import partial

import pytest
import sqlalchemy as sa

from services.generation.worker.bells import Bell, Ear
from services.runtime import jobs
from services.runtime.database import Database
from tests.support.waiting import until


@pytest.fixture
async def generation_database(postgres):
    """A database of generation's."""
    async with postgres.database("generation") as opened:
        yield opened


def _rung(bell, waker):
    """Ring once more, and say whether the ear has heard it."""
    bell._waker.wake()
    return waker.event.is_set()


async def test_a_bell_in_one_process_wakes_the_runners_of_another(generation_database) -> None:
    """Two Databases stand for two processes; the waker belongs to the second, and the first one's is the bell's own."""
    other = Database(generation_database.engine.url.render_as_string(hide_password=False))
    bell, ear = Bell(generation_database), Ear(other)
    ringing, hearing = asyncio.create_task(bell.run()), asyncio.create_task(ear.run())
    waker = jobs.Waker()
    try:
        await until(partial(_rung, bell, waker), pause=0.01)  # the ear listens
    finally:
        await bell.drain(1)
        await ear.drain(1)
        await asyncio.gather(ringing, hearing)
        await other.close()


async def test_an_ear_whose_connection_is_lost_listens_again(generation_database) -> None:
    other = Database(generation_database.engine.url.render_as_string(hide_password=False))
    bell, ear = Bell(generation_database), Ear(other)
    ringing, hearing = asyncio.create_task(bell.run()), asyncio.create_task(ear.run())
    try:
        for _ in range(2):
            waker = jobs.Waker()
            await until(partial(_rung, bell, waker), pause=0.01)
            async with generation_database.transaction() as session:
                ended = sa.text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
                assert (await session.execute(ended)).scalar() == 1
    finally:
        await bell.drain(1)
        await ear.drain(1)
        await asyncio.gather(ringing, hearing)
        await other.close()

"""What one process notifies of wakes the runners of another."""

import asyncio
from functools import partial

import pytest
import sqlalchemy as sa

from services.generation.worker.notifications import JobListener, JobNotifier
from services.runtime import jobs
from services.runtime.database import Database
from tests.support.waiting import until


@pytest.fixture
async def generation_database(postgres):
    """A database of generation's."""
    async with postgres.database("generation") as opened:
        yield opened


def _notified(notifier, waker):
    """Ring once more, and say whether the listener has heard it."""
    notifier._waker.wake()
    return waker.event.is_set()


async def test_a_notification_in_one_process_wakes_the_runners_of_another(generation_database) -> None:
    """Two Databases stand for two processes; the waker belongs to the second, the first one's is the notifier's."""
    other = Database(generation_database.engine.url.render_as_string(hide_password=False))
    notifier, listener = JobNotifier(generation_database), JobListener(other)
    ringing, hearing = asyncio.create_task(notifier.run()), asyncio.create_task(listener.run())
    waker = jobs.Waker()
    try:
        await until(partial(_notified, notifier, waker), pause=0.01)  # the listener listens
    finally:
        await notifier.drain(1)
        await listener.drain(1)
        await asyncio.gather(ringing, hearing)
        await other.close()


async def test_an_ear_whose_connection_is_lost_listens_again(generation_database) -> None:
    other = Database(generation_database.engine.url.render_as_string(hide_password=False))
    notifier, listener = JobNotifier(generation_database), JobListener(other)
    ringing, hearing = asyncio.create_task(notifier.run()), asyncio.create_task(listener.run())
    try:
        for _ in range(2):
            waker = jobs.Waker()
            await until(partial(_notified, notifier, waker), pause=0.01)
            async with generation_database.transaction() as session:
                ended = sa.text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
                assert (await session.execute(ended)).scalar() == 1
    finally:
        await notifier.drain(1)
        await listener.drain(1)
        await asyncio.gather(ringing, hearing)
        await other.close()

"""How a worker learns at once of a job that another process has enqueued; without it runners look every 200 ms."""

import asyncio
import contextlib
from typing import Any

from services.runtime import errors, jobs, telemetry
from services.runtime.database import Database

NOTIFY_SECONDS = 0.02
PAUSE_SECONDS = 1.0
log = telemetry.logger(__name__)


class JobNotifier:
    """Wakes the runners of other processes when a job was enqueued in this one.

    It notifies after the commit, in a transaction of its own and at most fifty times a second: a NOTIFY inside a
    transaction takes a lock that all commits of the server queue for. Both ends are parts of a process.
    """

    def __init__(self, database: Database) -> None:
        self._database, self._waker, self._draining = database, jobs.Waker(), False

    async def run(self) -> None:
        """Notify until drained. A notification that is not sent is not missed: runners look by themselves."""
        while not self._draining:
            await self._waker.event.wait()
            self._waker.event.clear()
            with contextlib.suppress(errors.Failure):
                async with self._database.autocommit() as session:
                    await jobs.notify(session)
            await asyncio.sleep(NOTIFY_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Stop."""
        self._draining = True
        self._waker.wake()


class JobListener:
    """Listens to the notifications of other processes on the same database, and wakes the runners of this one."""

    def __init__(self, database: Database) -> None:
        self._database, self._draining = database, asyncio.Event()

    async def run(self) -> None:
        """Listen until drained; a lost connection is made anew."""
        while not self._draining.is_set():
            try:
                await self._listen()
            except Exception as fault:  # noqa: BLE001  runners look by themselves as long as nobody wakes them
                log.warning("not_listening", error=fault)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), PAUSE_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Stop."""
        self._draining.set()

    async def _listen(self) -> None:
        """Listen on a connection of its own until it is lost or the process drains."""
        async with self._database.engine.connect() as connection:
            wire: Any = (await connection.get_raw_connection()).driver_connection
            lost = asyncio.Event()
            wire.add_termination_listener(lambda _: lost.set())
            await wire.add_listener(jobs.CHANNEL, lambda *_: jobs.wake())
            ends = [asyncio.create_task(event.wait()) for event in (lost, self._draining)]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await connection.invalidate()

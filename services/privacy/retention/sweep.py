"""Removes ended jobs when the retention of their payloads is over."""

import asyncio
import datetime

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime import jobs, subject, telemetry
from services.runtime.clock import Clock
from services.runtime.database import Database

PAUSE_SECONDS = 3600.0
log = telemetry.logger(__name__)


class Sweep:
    """Sweeps at the start and then every hour; several processes may sweep at once."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Sweep until drained; a sweep that fails is tried again at the next turn."""
        while not self._stop.is_set():
            try:
                await self.sweep()
            except Exception as fault:  # noqa: BLE001  the loop outlives whatever the database does
                log.fault("retention_sweep_failed", fault)
            try:
                await asyncio.wait_for(self._stop.wait(), PAUSE_SECONDS)
            except TimeoutError:
                continue

    async def drain(self, _seconds: float) -> None:
        """Begin no further sweep."""
        self._stop.set()

    async def sweep(self) -> int:
        """Delete the jobs that ended before the term of their payloads; returns how many."""
        kept = datetime.timedelta(days=subject.rule(Element.JOB_PAYLOAD).retention_days)
        async with self._database.transaction() as session:
            return await jobs.sweep(session, self._clock.now() - kept)

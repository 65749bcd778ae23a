"""The one feed of a process: reads every half second what has changed, and at once when somebody must see it."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from services.auth.check import store
from services.auth.check.directory import Changes, Directory
from services.runtime import metrics, telemetry
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import Failure

CATCH_UP_SECONDS = 0.3
MISS_PAUSE_SECONDS = 0.1
READ_SECONDS = 4.0
PRUNE_SECONDS = 600.0
log = telemetry.logger(__name__)


class Feed:
    """Fills a directory. Its age is that of the beginning of the last reading that succeeded, by a steady clock."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        clock: Clock,
        *,
        pause_seconds: float = 0.5,
        patience_seconds: float = CATCH_UP_SECONDS,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._directory = directory
        self._clock = clock
        self._pause, self._patience = pause_seconds, patience_seconds
        self._steady = steady
        self._floor = 0
        self._fresh: float | None = None
        self._begun = float("-inf")
        self._pruned = steady()
        self._reading = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        self._well = True

    @property
    def age(self) -> float:
        """Seconds since the last good reading began; infinite before the first."""
        return float("inf") if self._fresh is None else self._steady() - self._fresh

    async def catch_up(self, *, patient: bool = False) -> bool:
        """Wait for a reading that begins after this call, no longer than the feed's patience unless `patient`.

        False: it failed or is not done yet. All who wait at a time share one reading.
        """
        return await self._wait(None if patient else self._patience)

    async def _wait(self, seconds: float | None) -> bool:
        if self._next is None:
            self._next = asyncio.create_task(self._read_next())
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            await asyncio.wait_for(asyncio.shield(self._next), seconds)
        except (TimeoutError, Failure, OSError):
            return False
        except Exception as fault:  # noqa: BLE001  whatever it was, the knowledge is as old as it was
            log.fault("feed_failed", fault, kind="feed")
            return False
        return True

    async def refresh(self) -> bool:
        """Catch up before a refusal. Whatever strangers send, this reads at most ten times a second."""
        pause = self._begun + MISS_PAUSE_SECONDS - self._steady()
        if pause > 0:
            await asyncio.sleep(min(pause, MISS_PAUSE_SECONDS))
        return await self._wait(self._patience - MISS_PAUSE_SECONDS)

    async def run(self) -> None:
        """Read for ever; a reading that fails is tried again after the pause."""
        metrics.watch("filmgate_feed_age_seconds", lambda: [(self.age, {})])
        metrics.watch("filmgate_credentials_known", lambda: [(len(self._directory), {})])
        while True:
            well = await self.catch_up(patient=True)
            if well != self._well:
                self._well = well
                log.warning("feed_changed", state="fresh" if well else "stale")
            await asyncio.sleep(self._pause)

    async def drain(self, _seconds: float) -> None:
        """End a reading that is under way."""
        if self._next is not None:
            self._next.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._next

    async def ready(self) -> None:
        """A health check: raises while nothing fresh enough to decide anything is known."""
        if self.age > 60:
            raise RuntimeError("the directory is not loaded, or too old")

    async def read(self) -> tuple[float, int, Changes]:
        """Read once; answers (when it began, the next floor, the changes)."""
        begun = self._steady()
        async with asyncio.timeout(READ_SECONDS), self._database.transaction() as session:
            floor, changes = await store.read_changes(session, self._floor)
        return begun, floor, changes

    def take(self, begun: float, floor: int, changes: Changes) -> None:
        """Take a reading in. A late one cannot undo a newer one: neither entries, nor the floor, nor the age."""
        self._directory.apply(changes)
        self._floor = max(self._floor, floor)
        self._fresh = begun if self._fresh is None else max(self._fresh, begun)
        if self._steady() - self._pruned > PRUNE_SECONDS:
            self._pruned = self._steady()
            self._directory.prune(self._clock.now().timestamp())

    async def _read_next(self) -> None:
        """Read once the present reading is over; who asks from then on needs the next."""
        async with self._reading:
            self._next = None
            self._begun = self._steady()
            self.take(*await self.read())

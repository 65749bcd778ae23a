"""What the metrics say of holds, wallets and the ledger as a whole: counted in the background of the process."""

import asyncio
import time

from services.billing.wallets import invariants, store
from services.runtime import metrics, telemetry
from services.runtime.clock import Clock
from services.runtime.database import Database

COUNT_SECONDS = 15.0
log = telemetry.logger(__name__)


class Census:
    """Counts every 15 s, and asks the ledger's rules of the whole ledger at the start and then every `seconds`."""

    def __init__(self, database: Database, clock: Clock, seconds: float) -> None:
        self._database, self._clock, self._seconds = database, clock, seconds
        self._checked = float("-inf")
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Count until drained; a count that fails is tried again at the next turn."""
        while not self._stop.is_set():
            try:
                await self.count()
                if time.monotonic() - self._checked >= self._seconds:
                    self._checked = time.monotonic()
                    await self.check()
            except Exception as fault:  # noqa: BLE001  the loop outlives whatever the database does
                log.fault("census_failed", fault)
            try:
                await asyncio.wait_for(self._stop.wait(), COUNT_SECONDS)
            except TimeoutError:
                continue

    async def drain(self, seconds: float) -> None:
        """Begin no further count."""
        self._stop.set()

    async def count(self) -> None:
        """Count open holds and parked wallets once."""
        async with self._database.transaction() as session:
            opened, overdue, parked = await store.figures(session, self._clock.now())
        metrics.set_gauge("filmgate_holds_open", opened)
        metrics.set_gauge("filmgate_holds_overdue", overdue)
        metrics.set_gauge("filmgate_wallets_parked", parked)

    async def check(self) -> None:
        """Ask all rules of the ledger once; each breach is logged by its rule."""
        async with self._database.transaction() as session:
            broken = await invariants.violations(session)
        for breach in broken:
            log.error("ledger_broken", reason=breach.partition(":")[0])
        metrics.set_gauge("filmgate_ledger_violations", len(broken))
        # Prometheus compares it with its own time.
        metrics.set_gauge("filmgate_ledger_checked_seconds", self._clock.real_now().timestamp())

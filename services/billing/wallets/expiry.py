"""The sweep in the background of the process: books lots past their dates, and removes jobs past their term."""

import asyncio
import datetime

from filmgate.privacy.v1.elements_pb2 import Element
from services.billing.wallets import store
from services.billing.wallets.ledger import Ledger
from services.runtime import jobs, metrics, subject, telemetry
from services.runtime.clock import Clock
from services.runtime.database import Database

_BATCH = 200
log = telemetry.logger(__name__)


class ExpirySweep:
    """Sweeps at the start and then every `seconds`. Two processes may sweep at once: the wallet's lock orders them."""

    def __init__(self, database: Database, ledger: Ledger, clock: Clock, seconds: float) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._seconds = seconds
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Sweep until drained; a sweep that fails is tried again at the next turn."""
        while not self._stop.is_set():
            try:
                await self.sweep()
                await self.forget_jobs()
            except Exception as fault:  # noqa: BLE001  the loop outlives whatever the database does
                log.fault("expiry_sweep_failed", fault)
            try:
                await asyncio.wait_for(self._stop.wait(), self._seconds)
            except TimeoutError:
                continue

    async def drain(self, seconds: float) -> None:
        """Begin no further sweep."""
        self._stop.set()

    async def sweep(self) -> int:
        """Book all lapses due now, one transaction per wallet; returns how many lots lapsed.

        A wallet that cannot be swept is left to the next turn, and does not keep the others.
        """
        now, lapsed, left = self._clock.now(), 0, False
        while True:
            async with self._database.transaction() as session:
                organizations = await store.wallets_with_ended_lots(session, now, _BATCH)
            for organization in organizations:
                try:
                    async with self._database.transaction() as session:
                        lapsed += await self._ledger.lapse(session, organization, now)
                except Exception as fault:  # noqa: BLE001  whatever it is, the others are not to wait for it
                    log.fault("wallet_not_swept", fault)
                    left = True
            if left or len(organizations) < _BATCH:
                metrics.count("filmgate_lots_lapsed_total", lapsed)
                return lapsed

    async def forget_jobs(self) -> int:
        """Delete the jobs that ended before the term of their payloads; returns how many."""
        kept = datetime.timedelta(days=subject.rule(Element.JOB_PAYLOAD).retention_days)
        async with self._database.transaction() as session:
            return await jobs.sweep(session, self._clock.now() - kept)

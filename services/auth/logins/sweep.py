"""Removes codes after a day, with the keys that sealed them, and what else of auth has served its time."""

import asyncio
import datetime

from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.logins import store
from services.runtime import idempotency, jobs, subject, telemetry
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.sealed import Sealer

PAUSE_SECONDS = 600.0
KEPT = datetime.timedelta(days=1)
"""A code's retention in privacy/v1/elements.proto."""
JOBS_KEPT = datetime.timedelta(days=subject.rule(Element.JOB_PAYLOAD).retention_days)
log = telemetry.logger(__name__)


class Sweep:
    """Sweeps every ten minutes."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            try:
                while await self.once() == store.MAX_SWEPT:
                    pass
            except Exception as fault:  # noqa: BLE001  the next round may reach the database
                log.fault("sweep_failed", fault, kind="logins")
            await asyncio.sleep(PAUSE_SECONDS)

    async def drain(self, _seconds: float) -> None:
        """Nothing is lost by stopping in the middle."""

    async def once(self) -> int:
        """Sweep; returns how many codes were removed. Rows go before their keys: a key without a row hurts nobody."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            flows = await store.over_flows(session, now - KEPT)
            await store.delete_flows(session, flows)
            await store.sweep(session, now)
            await idempotency.sweep(session, now)
            await jobs.sweep(session, now - JOBS_KEPT)
        await asyncio.to_thread(self._forget, list(flows))
        return len(flows)

    def _forget(self, flows: list[str]) -> None:
        for flow in flows:
            self._sealer.forget(flow)

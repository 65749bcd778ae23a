"""When keys were last used: kept in memory by Check, written down every half minute."""

import asyncio
import datetime

from services.auth.keys import store
from services.runtime import telemetry
from services.runtime.database import Database

FLUSH_SECONDS = 30.0
log = telemetry.logger(__name__)


class LastUsedTracker:
    """Last uses that this process has seen. What a killed process has not written is lost, which is no harm."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, datetime.datetime] = {}

    def note(self, key: str, now: datetime.datetime) -> None:
        """Remember that a key was used."""
        self._seen[key] = now

    async def flush(self) -> None:
        """Write down what was seen since the last time; on failure it is kept for the next."""
        seen, self._seen = self._seen, {}
        if not seen:
            return
        try:
            async with self._database.transaction() as session:
                await store.note_uses(session, seen)
        except BaseException:
            self._seen = seen | self._seen
            raise

    async def run(self) -> None:
        """Flush for ever."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except Exception as fault:  # noqa: BLE001  the next round may reach the database
                log.fault("key_uses_not_noted", fault, kind="keys")

    async def drain(self, seconds: float) -> None:
        """Flush a last time."""
        async with asyncio.timeout(seconds):
            await self.flush()

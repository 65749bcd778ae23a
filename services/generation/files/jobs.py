"""What happens to files by itself: bytes are removed, unfinished uploads swept, expired content deleted."""

import asyncio
from collections.abc import Awaitable, Callable

from obstore.store import ObjectStore

from services.generation.files import domain, objects, store
from services.generation.videos import store as videos
from services.runtime import telemetry
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.jobs import Job, RetryLater

STILL_NEEDED_SECONDS = 30.0
log = telemetry.logger(__name__)


class FileJobs:
    """Handlers of the jobs about files, and the sweep, which the worker runs once a minute."""

    def __init__(self, database: Database, store_of_objects: ObjectStore, clock: Clock) -> None:
        self._database, self._objects, self._clock = database, store_of_objects, clock

    def handlers(self) -> dict[str, Callable[[Job], Awaitable[None]]]:
        """Return the handlers by kind."""
        return {store.REMOVE_OBJECTS: self.remove_objects}

    async def remove_objects(self, job: Job) -> None:
        """Remove the bytes of a deleted file, then its row; raises RetryLater while an open video is made from it."""
        file_id = job.payload["file"]
        async with self._database.transaction() as session:
            row = await store.get(session, file_id)
            needed = await videos.is_needed(session, file_id)
        if row is None:
            return
        if needed:
            raise RetryLater(STILL_NEEDED_SECONDS)
        await objects.remove(self._objects, domain.objects_of(row.kind, row.object))
        async with self._database.transaction() as session:
            await store.erase(session, file_id)

    async def sweep(self) -> None:
        """Delete what is past its expire_time, and what never became whole within 24 hours."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            expired = await store.sweep_expired(session, now)
            unready = await store.sweep_unready(session, now)
        if expired or unready:
            log.info("files_swept", removed=len(expired), count=len(unready))

    async def sweep_partial(self) -> None:
        """Delete what was half stored by a process that died of it, after the same 24 hours."""
        before = self._clock.real_now() - domain.UNREADY_FOR  # the file system's times are the host's
        if removed := await asyncio.to_thread(objects.sweep_partial, self._objects, before):
            log.info("files_swept", removed=removed, count=0)

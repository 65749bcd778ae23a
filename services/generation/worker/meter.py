"""How a worker tells a video's progress, and how it learns that the video was ended elsewhere."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from services.generation.triton.contract import Event
from services.generation.videos import store as videos
from services.generation.worker.usage import Stages
from services.runtime import telemetry
from services.runtime.database import Database
from services.runtime.errors import Failure

Result = TypeVar("Result")
WRITE_AGAIN_SECONDS = 1.0
# The model's share of the bar; the rest is labeling and publishing.
GENERATED_PERCENT = 90
log = telemetry.logger(__name__)


class Ended(Exception):
    """The video was ended or taken over elsewhere: nothing is left to do for it."""


class Meter:
    """Writes the progress of one attempt at a video: at once for a new stage, within it at most once a second."""

    def __init__(
        self, database: Database, steady: Callable[[], float], video: str, attempt: int, stages: Stages
    ) -> None:
        self._database, self._steady, self._stages = database, steady, stages
        self._video, self._attempt = video, attempt
        self._stage, self._written = "", steady()

    async def told(self, event: Event) -> None:
        """Take an event of the model. Raises Ended when the video is no longer ours."""
        if event.stage != self._stage or self._steady() - self._written >= WRITE_AGAIN_SECONDS:
            await self.write(int(event.progress_percent * GENERATED_PERCENT / 100), event.stage)

    async def write(self, percent: int, stage: str) -> None:
        """Write progress now. Raises Ended when the video is no longer ours.

        A database that does not answer stops no model: the lease decides how long a worker may go on without it.
        """
        self._stage, self._written = stage, self._steady()
        self._stages.enter(stage)
        try:
            async with self._database.autocommit() as session:
                ours = await videos.progress(session, self._video, percent, stage, self._attempt)
        except Failure as fault:
            log.warning("progress_not_written", reason=fault.kind.reason)
            return
        if not ours:
            raise Ended


async def unless(stopped: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work; leave it off when `stopped` is set before its end. Raises Ended then."""
    working, asking = asyncio.create_task(work), asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait([working, asking], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Ended
        return working.result()
    finally:
        working.cancel()
        asking.cancel()
        await asyncio.gather(working, asking, return_exceptions=True)

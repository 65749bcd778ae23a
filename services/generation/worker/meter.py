"""How a worker tells a video's progress, and how it learns that the video was ended elsewhere."""

import asyncio
import datetime
from collections.abc import Coroutine
from typing import Any, TypeVar

from services.generation.triton.contract import Event
from services.generation.videos import store as videos
from services.generation.worker.usage import Stages
from services.runtime import telemetry
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import Failure

Result = TypeVar("Result")
WRITE_AGAIN = datetime.timedelta(seconds=1)
# The model's share of the bar; the rest is labelling and publishing.
GENERATED_PERCENT = 90
log = telemetry.logger(__name__)


class Ended(Exception):
    """The video was ended or taken over elsewhere: nothing is left to do for it."""


class Meter:
    """Writes the progress of one attempt at a video: at once for a new stage, within it at most once a second."""

    def __init__(self, database: Database, clock: Clock, video: str, attempt: int, stages: Stages) -> None:
        self._database, self._clock, self._stages = database, clock, stages
        self._video, self._attempt = video, attempt
        self._stage, self._written = "", clock.now()

    async def told(self, event: Event) -> None:
        """Take an event of the model. Raises Ended when the video is no longer ours."""
        # A clock that was set back must not silence the bar.
        if event.stage != self._stage or abs(self._clock.now() - self._written) >= WRITE_AGAIN:
            await self.write(int(event.progress_percent * GENERATED_PERCENT / 100), event.stage)

    async def write(self, percent: int, stage: str) -> None:
        """Write progress now. Raises Ended when the video is no longer ours.

        A database that does not answer stops no model: the lease decides how long a worker may go on without it.
        """
        self._stage, self._written = stage, self._clock.now()
        self._stages.enter(stage)
        try:
            async with self._database.reading() as session:
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

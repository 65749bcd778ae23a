"""Single videos for many callers: who asks while one read runs shares the next, which begins after they asked."""

import asyncio
import contextlib
import contextvars
import dataclasses
from typing import Any

from services.generation.videos import store
from services.generation.videos.domain import Place
from services.generation.videos.queue import Queue
from services.runtime.clock import Clock
from services.runtime.database import Database


@dataclasses.dataclass(frozen=True)
class Seen:
    """A video's row as it was read, with its file and its place in the queue."""

    row: Any
    output: Any | None
    place: Place | None


class Reads:
    """One read at a time, for all who wait: under load a poll costs a part of a statement, alone it does not wait."""

    def __init__(self, database: Database, queue: Queue, clock: Clock) -> None:
        self._database, self._queue, self._clock = database, queue, clock
        self._wanted: dict[str, asyncio.Future[Seen | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def video(self, video_id: str) -> Seen | None:
        """Return a video as it is committed after this call, whoever owns it; None: there is none.

        Raises PEER_UNAVAILABLE.
        """
        future = self._wanted.get(video_id)
        if future is None:
            future = self._wanted[video_id] = asyncio.get_running_loop().create_future()
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_all(), context=contextvars.Context())
        return await asyncio.shield(future)

    async def _read_all(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            try:
                found = await self._read(list(wanted))
            except Exception as fault:  # noqa: BLE001  whoever waits is told
                for future in wanted.values():
                    future.set_exception(fault)
                continue
            for video, future in wanted.items():
                future.set_result(found.get(video))

    async def _read(self, wanted: list[str]) -> dict[str, Seen]:
        async with self._database.autocommit() as session:
            rows = await store.many(session, wanted)
            outputs = await store.outputs(session, list(rows.values()))
            places = await self._queue.places(session, list(rows.values()), self._clock.real_now())
        return {video: Seen(row, outputs.get(video), places.get(video)) for video, row in rows.items()}

    async def drain(self) -> None:
        """End a read that is under way."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

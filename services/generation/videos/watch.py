"""Watching: one batched read every 500 ms feeds all watchers of the process."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Iterator

from filmgate.generation.v1 import videos_pb2
from services.generation.clients import Billing
from services.generation.videos import store
from services.generation.videos.message import Writer
from services.generation.videos.queue import Queue
from services.generation.videos.tables import VideoRow
from services.runtime import telemetry
from services.runtime.clock import Clock
from services.runtime.database import Database

READ_SECONDS = 0.5
HEARTBEAT_SECONDS = 10.0
MAX_SECONDS = 60.0
"""Then the watcher comes back through the edge, which checks their key and their standing again."""
MAX_PER_OWNER = 20
"""Watches of one organization on one process; one more sends its oldest away, so that nobody fills the process."""
log = telemetry.logger(__name__)


@dataclasses.dataclass(frozen=True)
class Change:
    """A video after a change. `final`: it has ended and is settled. `gone`: it was deleted."""

    sequence: int
    video: videos_pb2.Video
    final: bool
    gone: bool


@dataclasses.dataclass(eq=False)
class Watcher:
    """One stream of an owner. `seen` is the sequence of the last change that it was given; `leaving`: it is to end."""

    video_id: str
    owner: str
    leaving: bool = False
    seen: int = 0
    change: Change | None = None
    turn: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    async def next(self) -> Change | None:
        """Wait for the next read; returns what changed, None when nothing did."""
        await self.turn.wait()
        self.turn.clear()
        change, self.change = self.change, None
        return change


class Feed:
    """Reads for all watchers of this process, and ends them when it drains."""

    def __init__(
        self,
        database: Database,
        billing: Billing,
        writer: Writer,
        clock: Clock,
        *,
        queue: Queue | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._billing, self._steady = database, billing, steady
        self._writer, self._clock, self._queue = writer, clock, queue or Queue()
        self._watchers: dict[Watcher, None] = {}  # a set that keeps the order of arrival
        self._draining = asyncio.Event()

    async def run(self) -> None:
        """Read every 500 ms until drained."""
        while not self._draining.is_set():
            try:
                await self.read()
            except Exception as fault:  # noqa: BLE001  the next read may reach the database
                log.warning("watch_not_read", error=fault)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), READ_SECONDS)
        await asyncio.get_running_loop().create_future()  # a part that ends would end the process

    async def drain(self, _: float) -> None:
        """Tell every watcher to come back elsewhere."""
        self._draining.set()
        for watcher in self._watchers:
            watcher.turn.set()

    async def read(self) -> None:
        """Read once what changed of all watched videos, and give every watcher its turn."""
        seen: dict[str, int] = {}
        for watcher in self._watchers:
            seen[watcher.video_id] = min(watcher.seen, seen.get(watcher.video_id, watcher.seen))
        try:
            changes = await self._changes(seen)
        finally:
            for watcher in self._watchers:
                watcher.turn.set()
        for watcher in self._watchers:
            change = changes.get(watcher.video_id)
            if change and change.sequence > watcher.seen:
                watcher.change, watcher.seen = change, change.sequence

    async def _changes(self, seen: dict[str, int]) -> dict[str, Change]:
        if not seen:
            return {}
        async with self._database.transaction() as session:
            rows = await store.changed(session, seen)
            made = await store.outputs(session, rows)
            places = await self._queue.places(session, rows, self._clock.real_now())
        terms = await self._billing.terms() if any(row.settlement == "PENDING" for row in rows) else None
        percent, now = terms.percent if terms else {}, self._clock.now()
        return {
            row.id: change_of(
                row,
                self._writer.video(row, now, output=made.get(row.id), place=places.get(row.id), percent=percent),
            )
            for row in rows
        }

    @contextlib.contextmanager
    def watch(self, video_id: str, owner: str) -> Iterator[Watcher]:
        """Watch a video for the length of the block. Begin before the first look at it, so that nothing is missed."""
        watcher = Watcher(video_id, owner)
        self._make_room(owner)
        self._watchers[watcher] = None
        try:
            yield watcher
        finally:
            self._watchers.pop(watcher)

    def _make_room(self, owner: str) -> None:
        own = [watcher for watcher in self._watchers if watcher.owner == owner and not watcher.leaving]
        for watcher in own[: max(0, len(own) - MAX_PER_OWNER + 1)]:
            watcher.leaving = True
            watcher.turn.set()

    async def events(self, watcher: Watcher, present: Change, after: int) -> AsyncIterator[videos_pb2.VideoEvent]:
        """Yield the present state unless it was seen, then the changes, heartbeats, and how the stream ends."""
        began = quiet_since = self._steady()
        # A sequence that the video has not reached was seen of another one: it is shown from the start.
        sent = after if after <= present.sequence else 0
        change: Change | None = present
        watcher.seen = max(watcher.seen, present.sequence)
        while True:
            now = self._steady()
            if change and not change.gone and (change.sequence > sent or change.final):
                sent, quiet_since = change.sequence, now
                yield videos_pb2.VideoEvent(sequence=sent, video=change.video, final=change.final)
                if change.final:
                    return
            elif now - quiet_since >= HEARTBEAT_SECONDS:
                quiet_since = now
                yield videos_pb2.VideoEvent(sequence=sent, heartbeat=True)
            leaving = watcher.leaving or self._draining.is_set() or now - began >= MAX_SECONDS
            if leaving or (change and change.gone):
                yield videos_pb2.VideoEvent(sequence=sent, reconnect=True)
                return
            change = await watcher.next()


def change_of(row: VideoRow, video: videos_pb2.Video) -> Change:
    """Return a row as a change."""
    final = row.end_time is not None and row.settlement != "PENDING"
    return Change(row.sequence, video, final, row.delete_time is not None)

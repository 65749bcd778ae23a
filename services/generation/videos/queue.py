"""Where videos stand in the queue, and when they are likely to start."""

import bisect
import dataclasses
import datetime
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from services.generation.models import store as models
from services.generation.videos import domain, store
from services.generation.videos.domain import Place
from services.runtime.database import Session

SHORT = 50
SHORT_SECONDS = 0.05
"""A line of no more videos may be so old, and is read anew for a video that it does not hold."""
FRESH_SECONDS = 1.0
"""A longer one may be so old, or so many times as old as reading it takes: it costs by its length, and who stands
behind so many is told a lower bound in any case."""
TIMES = 20
READING_SECONDS = 5.0
_Stand = tuple[int, float, str]


@dataclasses.dataclass(frozen=True)
class Line:
    """The queue of one model as it was read. `before[n]` is what the first n videos cost."""

    stands: list[_Stand]
    numbers: dict[str, int]
    before: list[float]
    running: int
    left: float
    slots: int
    until: float
    """When it is to be read anew, by the steady clock."""

    def lacks(self, video: str) -> bool:
        """Say whether a video is missing that a short line must hold."""
        return len(self.stands) <= SHORT and video not in self.numbers

    def place(self, number: int) -> Place:
        """Return the place behind so many videos."""
        return domain.place(number, self.before[number], self.running, self.left, self.slots)


class Queue:
    """The lines of all models, as this process has read them last."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._lines: dict[str, Line] = {}

    async def places(self, session: Session, videos: Sequence[Any], now: datetime.datetime) -> dict[str, Place]:
        """Return the places of those videos that are QUEUED; `now` is the host's time, as that of workers' reports."""
        queued = {video.id: video.model for video in videos if video.state == "QUEUED"}
        lines = await self._read(session, sorted(set(queued.values())), now)
        missed = {model for video, model in queued.items() if lines[model].lacks(video)}
        if missed:
            self.forget(*missed)
            lines |= await self._read(session, sorted(missed), now)
        later = [video for video, model in queued.items() if video not in lines[model].numbers]
        stands = await store.places(session, later) if later else {}
        found = {}
        for video, model in queued.items():
            line = lines[model]
            if video in stands:
                found[video] = line.place(bisect.bisect_left(line.stands, stands[video]))
            elif video in line.numbers:
                found[video] = line.place(line.numbers[video])
        return found

    def forget(self, *models: str) -> None:
        """Have the lines of these models read at the next look: this process has changed them."""
        self._keep(models, self._steady())

    async def next_place(self, session: Session, model: str, tenant: str, cost: float, now: datetime.datetime) -> Place:
        """Return the place that a video would get, were the tenant to order it now, by the host's time."""
        line = (await self._read(session, [model], now))[model]
        vft = await store.next_vft(session, model, tenant, cost)
        return line.place(bisect.bisect_right(line.stands, (100, vft, "~")))

    async def _read(self, session: Session, names: list[str], now: datetime.datetime) -> dict[str, Line]:
        old = [name for name in names if not self._is_fresh(self._lines.get(name))]
        if old:
            began = self._steady()
            self._keep(old, began + READING_SECONDS)
            waiting = await store.waiting(session, old)
            busy = await store.running(session, old)
            capacities = await models.capacities(session, old, now)
            took = self._steady() - began
            for name in old:
                line = waiting[name]
                kept = max(FRESH_SECONDS, TIMES * took) if len(line) > SHORT else SHORT_SECONDS
                self._lines[name] = Line(
                    [stand for stand, _, _ in line],
                    {video: number for number, (_, video, _) in enumerate(line)},
                    [0.0, *itertools.accumulate(cost for _, _, cost in line)],
                    *busy.get(name, (0, 0.0)),
                    capacities[name].slots,
                    self._steady() + kept,
                )
        return {name: self._lines[name] for name in names}

    def _keep(self, names: Iterable[str], until: float) -> None:
        """Let the others go on with what is there while one reads."""
        for name in names:
            if line := self._lines.get(name):
                self._lines[name] = dataclasses.replace(line, until=until)

    def _is_fresh(self, line: Line | None) -> bool:
        return line is not None and self._steady() < line.until

"""Shares the picture decoders among organizations, in turns and in seconds (review S4)."""

import asyncio
import collections
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from services.generation import errors

PERIOD_SECONDS = 60.0
"""The budget of an organization comes back evenly, all of it within so many seconds."""
HALF_LIFE_SECONDS = 600.0
"""After so many seconds a second of decoding counts half in the order of those who wait."""
NEGLIGIBLE_SECONDS = 0.05
"""An organization whose use has decayed to less than this is forgotten. One decoder adds at most a second in a second,
so the uses of all sum up to at most HALF_LIFE_SECONDS / ln 2 = 866 seconds for each decoder. So at most 17,320
organizations for each decoder are remembered, and those that had a turn within the last PERIOD_SECONDS."""
Charge = Callable[[float], None]


class Turns:
    """Hands out at most `decoders` turns at once, at most one of them to an organization.

    A free decoder goes to the waiting organization that has used the fewest CPU seconds of late (`_Use`); among equals
    in the order of their last turn. So a newcomer does not wait for organizations that have had their turns, however
    many there are (review S4). Who has waited longest is passed over at most once: the decoder that is free next is
    theirs. So however many new accounts come, a customer who has used much waits for at most two turns of each
    organization that waited before them. The order does not follow the budget: where many organizations share the
    decoders each gets its budget back faster than it can spend it, and all would be equals.
    Of an organization at most `waiting` wait; one that has spent `budget_seconds` is refused until some come back.
    `now` returns seconds that only grow.
    """

    def __init__(
        self, decoders: int, waiting: int, budget_seconds: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._free, self._most_waiting = decoders, waiting
        self._budget, self._use = _Budget(budget_seconds, now), _Use(now)
        self._passed_over = False
        """The last turn went to an organization that had not waited longest."""
        self._busy: set[str] = set()
        self._queues: dict[str, collections.deque[asyncio.Future[None]]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, organization: str) -> AsyncIterator[Charge]:
        """Wait for the organization's turn and hold it; call what is given with the CPU seconds that it took.

        Whoever is cancelled while they wait leaves the line at once.
        Raises DECODING_SPENT with the time after which to try again, TOO_MANY_TRANSFERS when too many wait already.
        """
        self._budget.check(organization)
        await self._wait(organization)
        try:
            self._budget.check(organization)  # what ran in the meantime was charged
            yield lambda seconds: self._charge(organization, seconds)
        finally:
            self._end(organization)

    @property
    def known(self) -> int:
        """Return how many organizations are remembered: those that spend, wait, have a turn or used one of late."""
        return len(self._budget.spent.keys() | self._use.used.keys() | self._queues.keys() | self._busy)

    def _charge(self, organization: str, seconds: float) -> None:
        self._budget.charge(organization, seconds)
        self._use.add(organization, seconds)

    async def _wait(self, organization: str) -> None:
        queue = self._queues.setdefault(organization, collections.deque())
        if len(queue) >= self._most_waiting:
            raise errors.TOO_MANY_TRANSFERS(limit=self._most_waiting, retry_after=1)
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(granted)
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._end(organization)  # the turn came and nobody is left to take it
            else:
                self._forget(organization, granted)
            raise

    def _grant(self) -> None:
        """Give free decoders to those who wait."""
        while self._free:
            able = [organization for organization in self._queues if organization not in self._busy]
            if not able:
                return
            # `_queues` is in order of turns: its first has waited longest, and is the first of equals.
            organization = able[0] if self._passed_over else min(able, key=self._use.level)
            granted = self._queues[organization].popleft()
            if not self._queues[organization]:
                del self._queues[organization]
            if granted.cancelled():
                continue  # who waited has gone, and removes it from the queue only in the loop's next round
            self._free -= 1
            self._passed_over = organization != able[0]
            self._busy.add(organization)
            granted.set_result(None)

    def _end(self, organization: str) -> None:
        self._busy.discard(organization)
        self._free += 1
        if queue := self._queues.pop(organization, None):
            self._queues[organization] = queue  # behind all who wait
        self._grant()

    def _forget(self, organization: str, granted: asyncio.Future[None]) -> None:
        queue = self._queues.get(organization)
        if queue is None or granted not in queue:
            return  # `_grant` has passed over it
        queue.remove(granted)
        if not queue:
            del self._queues[organization]


class _Budget:
    """Seconds that each organization has spent and not got back yet. Who has spent none is not remembered."""

    def __init__(self, budget_seconds: float, now: Callable[[], float]) -> None:
        self._most, self._now = budget_seconds, now
        self._rate = budget_seconds / PERIOD_SECONDS
        self.spent: dict[str, tuple[float, float]] = {}
        """Seconds and the moment for which they hold, the organization charged last at the end."""

    def level(self, organization: str) -> float:
        """Return the seconds that are spent at the moment."""
        seconds, moment = self.spent.get(organization, (0.0, 0.0))
        return max(0.0, seconds - (self._now() - moment) * self._rate)

    def check(self, organization: str) -> None:
        """Raise DECODING_SPENT when nothing is left."""
        over = self.level(organization) - self._most
        if over >= 0:
            raise errors.DECODING_SPENT(limit=f"{self._most:g}", retry_after=max(1.0, over / self._rate))

    def charge(self, organization: str, seconds: float) -> None:
        """Book seconds, and forget those who have got all of theirs back."""
        level = self.level(organization) + seconds
        self.spent.pop(organization, None)
        self.spent[organization] = level, self._now()
        for other in [other for other in self.spent if not self.level(other)]:
            del self.spent[other]


class _Use:
    """CPU seconds that each organization has used, each worth half after HALF_LIFE_SECONDS."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._sweep = now, now() + PERIOD_SECONDS
        self.used: dict[str, tuple[float, float]] = {}
        """Seconds and the moment for which they hold."""

    def level(self, organization: str) -> float:
        """Return the seconds that still count at the moment; 0 for an organization that is not remembered."""
        seconds, moment = self.used.get(organization, (0.0, 0.0))
        return seconds * 0.5 ** ((self._now() - moment) / HALF_LIFE_SECONDS)

    def add(self, organization: str, seconds: float) -> None:
        """Add seconds; once a minute forget those whose use is negligible."""
        self.used[organization] = self.level(organization) + seconds, self._now()
        if self._now() < self._sweep:
            return
        self._sweep = self._now() + PERIOD_SECONDS
        for other in [other for other in self.used if self.level(other) < NEGLIGIBLE_SECONDS]:
            del self.used[other]

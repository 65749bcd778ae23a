"""Shares the picture decoders among organizations, in turns and in seconds (review S4)."""

import asyncio
import collections
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from services.generation import errors

PERIOD_SECONDS = 60.0
"""The budget of an organization comes back evenly, all of it within so many seconds."""
Charge = Callable[[float], None]


class Turns:
    """Hands out at most `decoders` turns at once, at most one of them to an organization.

    A free decoder goes to the waiting organization that has spent the fewest seconds of late; among equals in the order
    of their last turn. So whoever comes first waits for the turns that run, and not for a line of somebody else.
    Of an organization at most `waiting` wait; one that has spent `budget_seconds` is refused until some come back.
    """

    def __init__(
        self, decoders: int, waiting: int, budget_seconds: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._free, self._most_waiting = decoders, waiting
        self._budget = _Budget(budget_seconds, now)
        self._busy: set[str] = set()
        self._queues: dict[str, collections.deque[asyncio.Future[None]]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, organization: str) -> AsyncIterator[Charge]:
        """Wait for the organization's turn and hold it; call what is given with the CPU seconds that it took.

        Raises DECODING_SPENT with the time after which to try again, TOO_MANY_TRANSFERS when too many wait already.
        """
        self._budget.check(organization)
        await self._wait(organization)
        try:
            self._budget.check(organization)  # what ran in the meantime was charged
            yield lambda seconds: self._budget.charge(organization, seconds)
        finally:
            self._end(organization)

    @property
    def known(self) -> int:
        """Return how many organizations are remembered: those that spend, wait or have a turn."""
        return len(self._budget.spent.keys() | self._queues.keys() | self._busy)

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
            organization = min(able, key=self._budget.level)  # the first of equals: `_queues` is in order of turns
            granted = self._queues[organization].popleft()
            if not self._queues[organization]:
                del self._queues[organization]
            if granted.cancelled():
                continue  # who waited has gone, and removes it from the queue only in the loop's next round
            self._free -= 1
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

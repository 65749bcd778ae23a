"""Requests per minute of an account: a token bucket each, in memory, so approximate across processes."""

import time
from collections import OrderedDict
from collections.abc import Callable

MAX_BUCKETS = 100_000


class Limits:
    """Lets an account make `per_minute` requests at once, and as many again over each minute."""

    def __init__(self, per_minute: int, steady: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._steady = steady
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, account: str) -> float:
        """Count a request. 0: go on; else it was not counted, and after so many seconds the next one is let through."""
        now, rate = self._steady(), self.per_minute / 60
        level, since = self._buckets.get(account, (float(self.per_minute), now))
        level = min(float(self.per_minute), level + (now - since) * rate)
        wait = 0.0 if level >= 1 else (1 - level) / rate if rate else 60.0
        self._buckets[account] = (level if wait else level - 1, now)
        self._buckets.move_to_end(account)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return wait

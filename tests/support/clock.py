"""The clocks of a test: they stand still until it moves them."""

import datetime

START = datetime.datetime(2026, 11, 21, 12, 0, tzinfo=datetime.UTC)


class FakeClock:
    """The clock protocol of the runtime, in the hands of a test, with the steady clock beside it."""

    def __init__(self, now: datetime.datetime = START) -> None:
        self._now = self._real = now
        self._steady = datetime.timedelta(seconds=1000)

    def now(self) -> datetime.datetime:
        """Return the business time that was set."""
        return self._now

    def real_now(self) -> datetime.datetime:
        """Return the host's time that was set."""
        return self._real

    def steady(self) -> float:
        """Return seconds that only grow: to be given as `steady`."""
        return self._steady.total_seconds()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass on all clocks; a negative number sets the host's clock back, which is not steady."""
        self._now += datetime.timedelta(seconds=seconds)
        self._real += datetime.timedelta(seconds=seconds)
        self._steady += datetime.timedelta(seconds=max(0.0, seconds))

    def jump(self, **time: float) -> None:
        """Move the business time alone, as FILMGATE_CLOCK_FILE does: `jump(days=40)`."""
        self._now += datetime.timedelta(**time)

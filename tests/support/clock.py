"""A clock that stands still until a test moves it."""

import datetime

START = datetime.datetime(2026, 11, 21, 12, 0, tzinfo=datetime.UTC)


class FakeClock:
    """The clock protocol of the runtime, in the hands of a test."""

    def __init__(self, now: datetime.datetime = START) -> None:
        self._now = now

    def now(self) -> datetime.datetime:
        """Answer the moment that was set."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds; a negative number goes back, as clocks do."""
        self._now += datetime.timedelta(seconds=seconds)

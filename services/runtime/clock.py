"""The clock that every rule about time is given, so that a test can set it."""

import datetime
from typing import Protocol


class Clock(Protocol):
    """Something that tells the time."""

    def now(self) -> datetime.datetime:
        """Answer this moment as an aware datetime in UTC."""
        ...


class SystemClock:
    """The clock of the host."""

    def now(self) -> datetime.datetime:
        """Answer this moment as an aware datetime in UTC."""
        return datetime.datetime.now(datetime.UTC)

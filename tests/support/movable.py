"""A suite whose business time a test moves: what takes 40 days is shown in a moment, by the real processes."""

import datetime
from pathlib import Path
from typing import Any

from deploy.local.suite import Suite


class MovableSuite(Suite):
    """A Suite with FILMGATE_CLOCK_FILE set. Its time is its own: no other suite of the session sees it move."""

    def __init__(self, home: Path, *, settings: dict[str, str] | None = None, **options: Any) -> None:
        self._file = home / "clock"
        self._ahead = datetime.timedelta(0)
        super().__init__(home, settings={**(settings or {}), "FILMGATE_CLOCK_FILE": str(self._file)}, **options)

    def advance(self, **time: float) -> None:
        """Let business time pass: `advance(days=40)`, by the names of a timedelta. Raises ValueError unless forward.

        In force when this returns, since each look of a process reads the file, and for every process that starts
        later. Leases, pauses and certificates stay on the host's clock: nothing that recurs comes sooner (a sweep of
        files runs once a minute, and when the worker starts).
        """
        further = datetime.timedelta(**time)
        if further < datetime.timedelta(0):
            raise ValueError("time only passes forward")
        self._ahead += further
        part = self._file.with_suffix(".part")
        part.write_text(f"{self._ahead.total_seconds():.6f}")
        part.rename(self._file)

    def now(self) -> datetime.datetime:
        """Return the business time."""
        return datetime.datetime.now(datetime.UTC) + self._ahead

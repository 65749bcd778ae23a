"""The clocks, and the one rule for which of them is used where. Nothing else of ours asks for the time of day.

- Business time, `Clock.now()`: terms, expiry, retention, windows of limits, deadlines, ages of people, policies in
  force, lifetimes of codes, sessions, keys and tokens, `create_time`, ids, and when a waiting job is due. A suite of
  tests moves it: FILMGATE_CLOCK_FILE names a file with an offset, which every process reads at each look.
- Host time, `Clock.real_now()`: leases of jobs, reports of workers, certificates, log lines, and what is compared with
  another program's time (Prometheus, the file system). Nothing moves it.
- Steady time, `time.monotonic`, given as `steady`: ages of what is in memory, pauses, timeouts, measured durations. It
  does not jump when the host's clock is set (review B15).

No SQL asks the database for the time: a statement takes it as a parameter. tests/unit/test_clocks.py holds the rule.
"""

import datetime
import ipaddress
import os
import re
import stat
import time
from pathlib import Path
from typing import Protocol

OFFSET = re.compile(rb"[0-9]{1,10}(\.[0-9]{1,6})?\n?")
"""Seconds in decimal, not negative: about 300 years at most, so that no date leaves the calendar."""
MAX_BYTES = 32
TEST_CLOCK = "a clock that tests move"
_MILLISECOND = datetime.timedelta(milliseconds=1)
_followed: "OffsetFile | None" = None


class ClockUnreadable(RuntimeError):
    """The offset of the business time is not known, so nothing that depends on it may be decided."""


class Clock(Protocol):
    """Something that tells the time."""

    def now(self) -> datetime.datetime:
        """Return the business time as an aware datetime in UTC."""
        ...

    def real_now(self) -> datetime.datetime:
        """Return the host's time as an aware datetime in UTC."""
        ...


class SystemClock:
    """The clock of the host, with the offset of the file that `follow` was given."""

    def now(self) -> datetime.datetime:
        """Return the business time in UTC. Raises ClockUnreadable while its offset cannot be read."""
        now = datetime.datetime.now(datetime.UTC)
        return now if _followed is None else now + _followed.offset()

    def real_now(self) -> datetime.datetime:
        """Return the host's time in UTC."""
        return datetime.datetime.now(datetime.UTC)


def milliseconds() -> int:
    """Return the business time in whole milliseconds since 1970. Raises ClockUnreadable."""
    host = time.time_ns() // 1_000_000
    return host if _followed is None else host + _followed.offset() // _MILLISECOND


def follow(path: Path | None, bind: str) -> None:
    """Move this process's business time by the offset in a file, from now on; None: leave it the host's.

    Every command of a process calls this before its work. Raises RuntimeError when the process would listen (`bind`)
    elsewhere than on loopback: time that a file moves must reach no real customer and no record that is kept. Raises
    ClockUnreadable when the file holds anything but an offset.
    """
    global _followed  # noqa: PLW0603  one process, one time
    if path is not None and not ipaddress.ip_address(bind).is_loopback:
        raise RuntimeError(f"with {TEST_CLOCK} this process listens on loopback only, not on {bind}")
    followed = None if path is None else OffsetFile(path)
    if followed is not None:
        followed.offset()
    _followed = followed


class OffsetFile:
    """An offset in a file. A look costs one stat; the file is read again when that shows another one.

    A missing or empty file is no offset. Once seen, an offset only grows, as time does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = (-1, 0, 0)
        self._offset = datetime.timedelta(0)
        self._fault = ""

    def offset(self) -> datetime.timedelta:
        """Return the offset. Raises ClockUnreadable for as long as the file does not hold one."""
        seen: tuple[int, int, int] | None
        try:
            found = os.stat(self._path)
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        except FileNotFoundError:
            seen = None
        except OSError as fault:
            seen = (-1, fault.errno or 0, 1)
        if seen != self._seen:
            self._read(seen)
        if self._fault:
            raise ClockUnreadable(f"FILMGATE_CLOCK_FILE {self._path} {self._fault}")
        return self._offset

    def _read(self, seen: tuple[int, int, int] | None) -> None:
        """Read the file anew. What is wrong with it is logged once, and refuses every look until it changes."""
        try:
            seen, text = _content(self._path)
            offset = _parsed(text)
            if offset < self._offset:
                raise ValueError(f"goes back from {self._offset.total_seconds():g} to {offset.total_seconds():g} s")
        except (OSError, ValueError) as fault:
            self._fault = str(fault) if isinstance(fault, ValueError) else f"cannot be read ({type(fault).__name__})"
            from services.runtime import telemetry  # noqa: PLC0415  which itself asks for the time

            telemetry.logger(__name__).error("clock_unreadable", reason=self._fault)
        else:
            self._offset, self._fault = offset, ""
        self._seen = seen


def _content(path: Path) -> tuple[tuple[int, int, int] | None, bytes]:
    """Return what identifies a file's state, and its first bytes; (None, b"") for a missing one. Raises OSError, and
    ValueError for what is no file: a pipe would keep who reads it waiting."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, b""
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("is no file")
        return (found.st_mtime_ns, found.st_size, found.st_ino), os.read(descriptor, MAX_BYTES)
    finally:
        os.close(descriptor)


def _parsed(text: bytes) -> datetime.timedelta:
    """Return the offset that a text is; empty is none. Raises ValueError, which does not repeat the text."""
    if not text:
        return datetime.timedelta(0)
    if OFFSET.fullmatch(text) is None:
        raise ValueError("does not hold seconds in decimal, such as 86400 or 0.5")
    return datetime.timedelta(seconds=float(text))

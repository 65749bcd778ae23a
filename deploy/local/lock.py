"""One suite per home: a lock that dies with its holder, and a note beside it for `make status` and `make down`."""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from deploy.local.files import private_folder, write_private

FILE = "suite.lock"


class AlreadyRunning(Exception):
    """Another process holds the lock; its note is the argument."""


class Lock:
    """Held from `take` until `release` or the end of the process, whichever comes first."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "run"
        self._descriptor: int | None = None

    @property
    def _note(self) -> Path:
        return self._folder / "suite.json"

    def take(self) -> None:
        """Take the lock, or raise AlreadyRunning."""
        descriptor = os.open(private_folder(self._folder) / FILE, os.O_RDWR | os.O_CREAT, 0o600)
        if not _locked(descriptor):
            os.close(descriptor)
            raise AlreadyRunning(self.read())
        self._descriptor = descriptor
        self.write({})

    def write(self, note: dict[str, Any]) -> None:
        """Say about the running suite what others may ask; the process number is added."""
        write_private(self._note, json.dumps({"pid": os.getpid(), **note}).encode())

    def read(self) -> dict[str, Any]:
        """The holder's note, or {} when there is none."""
        try:
            note: dict[str, Any] = json.loads(self._note.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return note

    def holder(self) -> dict[str, Any] | None:
        """The note of the process that holds the lock, or None when nobody does.

        Where no suite has been started nothing is made or changed: FILMGATE_HOME may name any folder.
        """
        if self._descriptor is not None:
            return self.read()
        if not (self._folder / FILE).is_file():
            return None
        try:
            self.take()
        except AlreadyRunning as running:
            found: dict[str, Any] = running.args[0]
            return found
        self.release()
        return None

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            self._note.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


def _locked(descriptor: int) -> bool:
    """Whether we have it now. Tried for 0.2 s, since `make status` holds it for a moment to see who does."""
    for attempt in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05 if attempt < 4 else 0)
        else:
            return True
    return False

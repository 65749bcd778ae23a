"""Private folders for films and uploads on their way: customers' content, gone with the work or with the next start."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "filmgate-scratch-"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a folder that only this user can open; it is removed at the end of the block.

    It is locked from its beginning to its end, so that no sweep takes it.
    """
    path, handle = _made()
    try:
        yield path
    finally:
        try:
            shutil.rmtree(path)
        finally:
            os.close(handle)


def sweep() -> int:
    """Remove the folders of this user's processes that were killed: nobody holds their locks. Return how many."""
    return sum(_swept(path) for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def _made() -> tuple[Path, int]:
    """Make a folder and share its lock; return both. One that a sweep took before it was locked is made anew."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            fcntl.flock(handle, fcntl.LOCK_SH)  # waits for a sweep that removes it just now
            if _lies_at(handle, path):
                return path, handle
            os.close(handle)


def _swept(path: Path) -> bool:
    """Remove a folder that nobody uses; tell whether it was one. Its lock is held until it is gone."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = os.fstat(handle).st_uid == os.geteuid() and _lies_at(handle, path)
        if is_ours:
            shutil.rmtree(path, ignore_errors=True)
        return is_ours
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


def _lies_at(handle: int, path: Path) -> bool:
    """Say whether an open folder still has this name."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False

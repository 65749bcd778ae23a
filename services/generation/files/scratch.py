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
    """Make a folder that only this user can open; it is removed at the end of the block."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield Path(name)
        finally:
            os.close(handle)


def sweep() -> int:
    """Remove the folders of this user's processes that were killed: nobody holds their locks. Answers how many."""
    left = [path for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if _abandoned(path)]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def _abandoned(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(handle).st_uid == os.geteuid()
    except BlockingIOError:
        return False
    finally:
        os.close(handle)

"""Private folders, secrets written once, and folders for unix sockets, whose paths must be short."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

SOCKET_PATH_BYTES = 107  # sun_path of unix(7), less its final zero


def private_folder(path: Path) -> Path:
    """Make `path` (with its parents) a folder that only its owner may enter; returns it as an absolute path."""
    path = path.absolute()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Write a file with mode 0600 so that a reader, or a crash, never sees half of it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def secret(path: Path, size: int = 32) -> bytes:
    """The random secret kept in `path`, made at first use."""
    if not path.exists():
        private_folder(path.parent)
        write_private(path, os.urandom(size))
    return path.read_bytes()


def socket_folder(home: Path, longest_name: str) -> Path:
    """A 0700 folder whose path leaves room for a socket called `longest_name`.

    It is `home`/run where that is short enough, else a folder of our own under the system's temporary folder.
    """
    folder = home.absolute() / "run"
    if len(os.fsencode(folder / longest_name)) <= SOCKET_PATH_BYTES:
        return private_folder(folder)
    mark = hashlib.sha256(os.fsencode(home.absolute())).hexdigest()[:12]
    return _own(Path(tempfile.gettempdir()) / f"filmgate-{os.getuid()}-{mark}")


def _own(folder: Path) -> Path:
    """Make or take `folder` in a place where others may write; a link or a stranger's folder is refused."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(f"{folder} is not a private folder of ours; remove it")
    return folder

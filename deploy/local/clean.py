"""Removes what is made again at will (`clean`) and, only when told so in words, what is not (`destroy`).

Needs the standard library alone, so that it works without any environment.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from deploy.local import config
from deploy.local.lock import AlreadyRunning, Lock

GENERATED = ("gen", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis")
SOURCES = ("services", "deploy", "tests", "bench")
BYTECODE = "__pycache__"
DATA = (
    "pg", "pg.new", "objects", "outbox", "secrets", "certs", "customer.json",
    "demo", "logs", "prometheus", "triton", "run",
)  # fmt: skip
"""What the suite keeps in its home. Other files there are figures of tests and of the benchmark, or not ours."""
MARKS = ("secrets/pepper", "pg/PG_VERSION")
"""Files that only a suite makes: a folder without them is no home, whatever FILMGATE_HOME says."""
RUNNING = "Filmgate is running; make down stops it."


def clean(home: Path, root: Path = config.ROOT) -> tuple[bool, str]:
    """Remove generated code and caches below `root`, and no data; return whether they are gone, and a sentence.

    Refused while the suite runs: it needs its generated code whenever a part of it starts again.
    """
    home = home.absolute()
    if home.exists() and Lock(home).holder() is not None:
        return False, RUNNING
    made = [root / name for name in GENERATED if (root / name).exists()]
    caches = [path for source in SOURCES for path in (root / source).rglob(BYTECODE)]
    fault = _removed([*made, *caches])
    gone = [path.name for path in made] + ([BYTECODE] if caches else [])
    removed = f"Removed {', '.join(gone)}" if gone else "There was nothing to remove"
    kept = f"the data in {home}, the keys in {config.keys_folder(home)} and the Python environments stay"
    return not fault, fault or f"{removed}; {kept}."


def destroy(home: Path, *, confirmed: bool) -> tuple[bool, str]:
    """Remove the data and the sealing keys of the suite in `home`; return whether they are gone, and a sentence.

    Without `confirmed` nothing is touched, and the sentence says what would be lost. Refused while the suite runs, and
    for a folder that no suite has used.
    """
    home = home.absolute()
    keys = config.keys_folder(home)
    if not any((home / mark).exists() for mark in MARKS):
        return False, f"{home} holds no data of Filmgate; it is left alone."
    lock = Lock(home)
    try:
        lock.take()
    except AlreadyRunning:
        return False, RUNNING
    try:
        if not confirmed:
            return False, _warning(home, keys)
        links = [home / name for name in DATA if (home / name).is_symlink()]
        led = "".join(f" {link} was a link: what lies in {link.resolve()} stays." for link in links)
        # The keys go last: while a file of the data is left, it can still be read.
        fault = _removed(home / name for name in DATA) or _removed([keys])
    finally:
        lock.release()
    return not fault, fault or f"The data in {home} and the keys in {keys} are gone.{led}{_left(home)}"


def _warning(home: Path, keys: Path) -> str:
    held = sum(_sizes(home / name for name in DATA)) / 2**20
    return (
        f"This would remove {home} ({held:.0f} MiB: accounts, API keys, wallets, pictures, films, messages, logs) and "
        f"{keys}, without which no backup of the data can be read either. There is no way back. Nothing was removed; "
        "make destroy CONFIRM=yes removes it."
    )


def _sizes(paths: Iterable[Path]) -> Iterator[int]:
    for path in paths:
        yield from (one.lstat().st_size for one in (path, *path.rglob("*")) if one.is_file() and not one.is_symlink())


def _removed(paths: Iterable[Path]) -> str | None:
    """Remove files and folders, as far as they are there; return a sentence for the first that does not go."""
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as fault:
            return f"{fault.filename or path} cannot be removed: {fault.strerror}."
    return None


def _left(home: Path) -> str:
    """Remove a home that is empty; return a sentence about what else lies in it."""
    left = sorted(path.name for path in home.iterdir())
    if left:
        return f" {', '.join(left)} there is not the suite's data, and stays."
    home.rmdir()
    return ""

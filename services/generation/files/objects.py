"""The object store behind files: a local folder, or any store that obstore opens by URL."""

import datetime
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from services.runtime.errors import PEER_UNAVAILABLE

PARTIAL = re.compile(r".+#\d+")
"""How obstore calls a file that it has not stored whole yet."""


def open_store(place: str, options: str = "") -> ObjectStore:
    """Open the store at a folder, made when missing, or at a URL such as s3://bucket/prefix.

    `options` is a JSON object of obstore's names and values for a URL. Raises ValueError when it is something else, and
    obstore's own error for a name that it does not know; no message has a value.
    """
    if "://" in place:
        return from_url(place, config=_options(options))
    if options:
        raise ValueError("a folder of objects takes no options")
    folder = Path(place).absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return LocalStore(folder)


def _options(text: str) -> Any:
    try:
        options = json.loads(text or "{}")
    except ValueError:
        options = None
    if not isinstance(options, dict) or not all(isinstance(value, str) for value in options.values()):
        raise ValueError("the options of the object store are no JSON object of texts")
    return options


def sweep_partial(objects: ObjectStore, before: datetime.datetime) -> int:
    """Remove what a process that was killed while it stored has left in a folder, as far as it is older than `before`.

    Answers how many files. It walks the whole folder; other stores show no half object, and nothing is done there.
    """
    if not isinstance(objects, LocalStore) or objects.prefix is None:
        return 0
    left = [
        path for path in Path(objects.prefix).rglob("*#*") if PARTIAL.fullmatch(path.name) and _is_old(path, before)
    ]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _is_old(path: Path, before: datetime.datetime) -> bool:
    try:
        return path.stat().st_mtime < before.timestamp()
    except FileNotFoundError:
        return False


async def put(objects: ObjectStore, key: str, content: Path | bytes) -> None:
    """Store an object whole. Raises PEER_UNAVAILABLE when the store is full or away; nothing is stored then."""
    try:
        await obstore.put_async(objects, key, content)
    except (BaseError, OSError) as fault:
        raise PEER_UNAVAILABLE(service="objects") from fault


async def remove(objects: ObjectStore, keys: Sequence[str]) -> None:
    """Remove objects; one that is not there is removed already. Raises PEER_UNAVAILABLE when the store is away."""
    for key in keys:
        try:
            await obstore.delete_async(objects, key)
        except (NotFoundError, FileNotFoundError):
            continue
        except (BaseError, OSError) as fault:
            raise PEER_UNAVAILABLE(service="objects") from fault

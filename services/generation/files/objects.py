"""The object store behind files: a local folder, or any store that obstore opens by URL."""

from collections.abc import Sequence
from pathlib import Path

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url


def open_store(place: str) -> ObjectStore:
    """Open the store at a folder, made when missing, or at a URL such as s3://bucket/prefix."""
    if "://" in place:
        return from_url(place)
    folder = Path(place).absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return LocalStore(folder)


async def remove(objects: ObjectStore, keys: Sequence[str]) -> None:
    """Remove objects; one that is not there is removed already."""
    for key in keys:
        try:
            await obstore.delete_async(objects, key)
        except (NotFoundError, FileNotFoundError):
            continue

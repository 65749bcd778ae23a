"""The price books at hand: published from their files at the start, read again once a minute."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.ext.asyncio import AsyncSession

from services.billing.prices import store
from services.billing.prices.domain import BookError, PriceBook, parse
from services.runtime import config
from services.runtime.clock import Clock
from services.runtime.database import Session

FOLDER = Path(__file__).parent / "books"
_FRESH_SECONDS = 60.0


def contents(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Read the books of a folder, in the order of their names. Raises StartFault, with the name of the bad one."""
    return [_content(path) for path in sorted(folder.glob("*.yaml"))]


def _content(path: Path) -> dict[str, Any]:
    with config.reading(f"price book {path.name}"):
        content: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
        try:
            parse(content)
        except BookError as fault:
            raise ValueError(str(fault)) from fault  # so that the sentence names the file
    return content


class PriceBookCache:
    """The published books from memory; what another process has published is seen within a minute.

    It reads through the caller's transaction: a second connection while one is held could starve the pool.
    """

    def __init__(self, clock: Clock, steady: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._steady = clock, steady
        self._books: Sequence[PriceBook] = ()
        self._read: float | None = None

    async def publish(self, session: AsyncSession, folder: Path = FOLDER) -> None:
        """Store the versions of `folder` that are new. Raises BookError when one differs from what was published."""
        await store.publish(session, contents(folder), self._clock.now())

    async def books(self, session: Session) -> Sequence[PriceBook]:
        """Return all books by version, at most a minute old."""
        if self.at_hand() is None:
            self._books = await store.books(session)
            self._read = self._steady()
        return self._books

    def at_hand(self) -> Sequence[PriceBook] | None:
        """Return the books in memory, None when they are not there or a minute old."""
        if self._read is None or self._steady() - self._read >= _FRESH_SECONDS:
            return None
        return self._books

    async def book(self, session: Session, version: int) -> PriceBook:
        """Return a published version, reading anew for one that is not known. Raises LookupError when there is none."""
        for _ in range(2):
            for book in await self.books(session):
                if book.version == version:
                    return book
            self._read = None
        raise LookupError(f"there is no price book {version}")

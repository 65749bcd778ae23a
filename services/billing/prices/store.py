"""All SQL of the price book."""

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.billing.prices import domain
from services.billing.prices.tables import StoredBook
from services.runtime.database import Session


async def publish(session: AsyncSession, contents: Sequence[Mapping[str, Any]], now: datetime.datetime) -> None:
    """Store the versions that are new. Raises BookError when a stored version has other content: it never changes.

    Two processes that start at once wait for each other on the version's key.
    """
    for content in contents:
        book = domain.parse(content)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        row = {"version": book.version, "effective_time": book.effective_time, "content": text, "create_time": now}
        await session.execute(insert(StoredBook).values(row).on_conflict_do_nothing())
        stored = await session.scalar(sa.select(StoredBook.content).where(StoredBook.version == book.version))
        if stored != text:
            raise domain.BookError(f"price book {book.version} was published with other content; add a new version")


_BOOKS = sa.select(StoredBook.content).order_by(StoredBook.version)


async def books(session: Session) -> list[domain.PriceBook]:
    """Return all published books by version. Raises BookError when they contradict each other."""
    found = [domain.parse(json.loads(row.content)) for row in await session.execute(_BOOKS)]
    domain.check_order(found)
    return found

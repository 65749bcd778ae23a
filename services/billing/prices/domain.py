"""The rules of prices: what a book must be, which version is in force, what a usage costs."""

import dataclasses
import datetime
import itertools
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from services.billing import errors

MICROS = 1_000_000
"""Micro-units in one unit of a currency."""
GRACE = datetime.timedelta(minutes=10)
"""How long a quote of a version may still be held after the next version came into force."""
OUTCOMES = (
    "SUCCEEDED",
    "MODERATED_BEFORE",
    "MODERATED_AFTER",
    "CANCELLED_QUEUED",
    "CANCELLED_RUNNING",
    "INFRASTRUCTURE_ERROR",
    "DEADLINE_PASSED",
)
"""How a video can end, by the names of the contract; every book says what each is charged."""
_RATE = re.compile(r"(0|[1-9]\d{0,8})(\.\d{1,9})?")
_FIELDS = {"version", "effective_time", "currency", "rates", "outcomes"}


class BookError(Exception):
    """A price book is not what a price book must be; the message says what is wrong."""


@dataclasses.dataclass(frozen=True)
class PriceBook:
    """One version of the price book; it never changes."""

    version: int
    effective_time: datetime.datetime
    currency: str
    rates: Mapping[tuple[str, str], Decimal]
    """Price of one second by (model, resolution)."""
    outcomes: Mapping[str, int]
    """Percent of the price that each outcome is charged."""


def parse(content: Mapping[str, Any]) -> PriceBook:
    """Read a book as it stands in its file. Raises BookError for anything that is not exactly as it must be."""
    if set(content) != _FIELDS:
        raise BookError(f"a book has exactly the fields {', '.join(sorted(_FIELDS))}")
    version, outcomes, currency = content["version"], content["outcomes"], str(content["currency"])
    if not isinstance(version, int) or version < 1 or not re.fullmatch("[A-Z]{3}", currency):
        raise BookError("version is not a number from 1, or currency is not a three-letter code")
    if set(outcomes) != set(OUTCOMES) or not all(_is_percent(share) for share in outcomes.values()):
        raise BookError(f"book {version} does not give a percentage from 0 to 100 for exactly the known outcomes")
    time = datetime.datetime.fromisoformat(content["effective_time"])
    if time.utcoffset() != datetime.timedelta(0):
        raise BookError(f"book {version} has an effective_time that is not in UTC")
    return PriceBook(version, time, currency, _rates(content["rates"], version), dict(outcomes))


def _is_percent(share: object) -> bool:
    return isinstance(share, int) and 0 <= share <= 100


def _rates(models: Mapping[str, Mapping[str, str]], version: int) -> dict[tuple[str, str], Decimal]:
    """Nine places at most: the published Money must be exactly what is charged."""
    rates = {(model, resolution): text for model, by in models.items() for resolution, text in by.items()}
    for key, text in rates.items():
        if not isinstance(text, str) or not _RATE.fullmatch(text):
            raise BookError(f"book {version} has a rate for {key} that is not a decimal string of at most 9 places")
    return {key: Decimal(text) for key, text in rates.items()}


def check_order(books: Sequence[PriceBook]) -> None:
    """Raise BookError unless a later version always comes into force later, in the same currency."""
    for before, after in itertools.pairwise(books):
        if after.version <= before.version or after.effective_time <= before.effective_time:
            raise BookError(f"book {after.version} does not come into force after book {before.version}")
        if after.currency != before.currency:
            raise BookError(f"book {after.version} has another currency than book {before.version}")


def in_force(books: Sequence[PriceBook], now: datetime.datetime) -> PriceBook:
    """Return the book in force: the newest whose effective time has come. Raises BookError when there is none."""
    begun = [book for book in books if book.effective_time <= now]
    if not begun:
        raise BookError("no price book is in force yet")
    return begun[-1]


def announced(books: Sequence[PriceBook], now: datetime.datetime) -> list[PriceBook]:
    """Return the books that are not in force yet, by their date."""
    return [book for book in books if book.effective_time > now]


def book_for_hold(books: Sequence[PriceBook], version: int, now: datetime.datetime) -> PriceBook | None:
    """Return the book of a quoted version while it may be held: in force, or its successor for less than GRACE."""
    for book, after in zip(books, [*books[1:], None], strict=True):
        if book.version == version and book.effective_time <= now:
            return book if after is None or now < after.effective_time + GRACE else None
    return None


def price(book: PriceBook, model: str, resolution: str, duration_seconds: int) -> int:
    """Price a usage in micro-units, rounded half up. Raises PRICE_UNKNOWN for what the book does not list."""
    rate = book.rates.get((model, resolution))
    if rate is None:
        raise errors.PRICE_UNKNOWN(model=model, resolution=resolution)
    return to_micros(rate * duration_seconds)


def to_micros(amount: Decimal) -> int:
    """Round a decimal amount to micro-units, half up (2.5 micro-units become 3)."""
    return int((amount * MICROS).quantize(Decimal(1), ROUND_HALF_UP))

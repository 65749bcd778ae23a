"""The Prices service: what things cost, published and quoted."""

from collections.abc import Sequence
from typing import Any

from filmgate.billing.v1 import prices_pb2
from services.billing.prices import domain, money
from services.billing.prices.book_cache import PriceBookCache
from services.billing.prices.domain import PriceBook
from services.runtime.caller import PUBLIC, SERVICE
from services.runtime.clock import Clock
from services.runtime.database import Database

ACCESS = {"ListPrices": PUBLIC, "Quote": SERVICE("generation")}


class Prices:
    """Servicer of filmgate.billing.v1.Prices."""

    def __init__(self, database: Database, book_cache: PriceBookCache, clock: Clock) -> None:
        self._database = database
        self._book_cache = book_cache
        self._clock = clock

    async def ListPrices(self, request: prices_pb2.ListPricesRequest, _: Any) -> prices_pb2.ListPricesResponse:
        """Publish the book in force, those announced, and the outcome table in force."""
        books, now = await self._books(), self._clock.now()
        current = domain.in_force(books, now)
        return prices_pb2.ListPricesResponse(
            price_books=[_book(book) for book in (current, *domain.announced(books, now))],
            outcomes=[
                prices_pb2.OutcomeCharge(outcome=name, percent=current.outcomes[name]) for name in domain.OUTCOMES
            ],
        )

    async def Quote(self, request: prices_pb2.QuoteRequest, _: Any) -> prices_pb2.QuoteResponse:
        """Quote a usage by the book in force. Raises PRICE_UNKNOWN."""
        usage, book = request.usage, domain.in_force(await self._books(), self._clock.now())
        price = domain.price(book, usage.model, usage.resolution, usage.duration_seconds)
        return prices_pb2.QuoteResponse(price=money.message(book.currency, price), price_version=book.version)

    async def _books(self) -> Sequence[PriceBook]:
        if (books := self._book_cache.at_hand()) is not None:
            return books
        async with self._database.transaction() as session:
            return await self._book_cache.books(session)


def _book(book: PriceBook) -> prices_pb2.PriceBook:
    return prices_pb2.PriceBook(
        version=book.version,
        effective_time=book.effective_time,
        rates=[
            prices_pb2.Rate(model=model, resolution=resolution, per_second=money.rate(book.currency, rate))
            for (model, resolution), rate in book.rates.items()
        ],
    )

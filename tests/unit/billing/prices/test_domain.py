"""The rules of the price book, at their edges."""

import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmgate.billing.v1 import prices_pb2
from services.billing import errors
from services.billing.prices import book_cache, domain
from services.billing.prices.domain import BookError
from services.generation.models.catalog import models
from services.runtime.errors import Failure

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
SHARES = dict.fromkeys(domain.OUTCOMES, 0)


def content(version=1, time="2026-01-01T00:00:00Z", **changes):
    rates = {"animatic": {"720p": "0.10"}}
    whole = {"version": version, "effective_time": time, "currency": "CNY", "rates": rates, "outcomes": SHARES}
    return whole | changes


def three_books():
    times = ("2026-01-01T00:00:00Z", "2026-11-21T12:00:00Z", "2026-12-01T00:00:00Z")
    return [domain.parse(content(number, time)) for number, time in enumerate(times, 1)]


def test_the_first_book_is_what_was_published():
    book = domain.parse(book_cache.contents()[0])
    found = {key: domain.price(book, *key, 5) for key in book.rates}
    assert found == {
        ("animatic", "480p"): 250_000,
        ("animatic", "720p"): 500_000,
        ("animatic", "1080p"): 1_000_000,
    }
    assert {name for name, share in book.outcomes.items() if share == 100} == {"SUCCEEDED", "CANCELLED_RUNNING"}
    assert set(book.outcomes.values()) == {0, 100}


def test_outcomes_are_those_of_the_contract():
    assert tuple(prices_pb2.Outcome.keys()[1:]) == domain.OUTCOMES


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 0},
        {"version": "1"},
        {"currency": "yuan"},
        {"effective_time": "2026-01-01T00:00:00+08:00"},
        {"rates": {"animatic": {"720p": 0.1}}},
        {"rates": {"animatic": {"720p": "0.1234567891"}}},
        {"rates": {"animatic": {"720p": "-1"}}},
        {"outcomes": {**SHARES, "SUCCEEDED": 101}},
        {"outcomes": {"SUCCEEDED": 100}},
        {"remark": "an unknown field"},
    ],
)
def test_a_book_that_is_not_exactly_as_it_must_be_is_refused(wrong):
    with pytest.raises(BookError):
        domain.parse(content(**wrong))


def test_later_versions_come_into_force_later():
    first, second, _ = three_books()
    domain.check_order([first, second])
    with pytest.raises(BookError):
        domain.check_order([second, first])
    with pytest.raises(BookError):
        domain.check_order([first, domain.parse(content(2))])


def test_books_of_two_currencies_are_refused():
    other = domain.parse(content(2, "2026-02-01T00:00:00Z", currency="USD"))
    with pytest.raises(BookError):
        domain.check_order([three_books()[0], other])


def test_a_book_is_in_force_from_its_very_moment():
    books = three_books()
    assert domain.in_force(books, NOON - SECOND).version == 1
    assert domain.in_force(books, NOON).version == 2
    assert [book.version for book in domain.announced(books, NOON)] == [3]
    with pytest.raises(BookError):
        domain.in_force(books, NOON.replace(year=2025))


def test_a_quote_stays_good_until_ten_minutes_past_the_next_version():
    books, end = three_books(), NOON + domain.GRACE
    assert domain.book_for_hold(books, 1, end - SECOND).version == 1
    assert domain.book_for_hold(books, 1, end) is None
    assert domain.book_for_hold(books, 2, NOON).version == 2
    assert domain.book_for_hold(books, 2, NOON - SECOND) is None, "announced, not in force"
    assert domain.book_for_hold(books, 9, NOON) is None


@pytest.mark.parametrize("usage", [("wan", "720p"), ("animatic", "8k"), ("", "")])
def test_what_the_book_does_not_list_has_no_price(usage):
    with pytest.raises(Failure) as refused:
        domain.price(three_books()[0], *usage, 5)
    assert refused.value.kind is errors.PRICE_UNKNOWN


@given(st.decimals("0", "100", places=9), st.integers(1, 3600), st.integers(0, 3600))
def test_longer_is_never_cheaper(rate, seconds, more):
    book = domain.PriceBook(1, NOON, "CNY", {("m", "r"): Decimal(rate)}, SHARES)
    assert domain.price(book, "m", "r", seconds) <= domain.price(book, "m", "r", seconds + more)


def test_larger_is_never_cheaper():
    book = domain.parse(book_cache.contents()[-1])
    for model in {model for model, _ in book.rates}:
        rates = [book.rates[model, size] for size in ("480p", "720p", "1080p") if (model, size) in book.rates]
        assert rates == sorted(rates)


def test_a_new_book_sells_every_model_of_the_catalog_and_keeps_the_prices_of_the_old():
    first, last = domain.parse(book_cache.contents()[0]), domain.parse(book_cache.contents()[-1])
    assert first.rates.items() <= last.rates.items()
    assert first.outcomes == last.outcomes
    assert last.rates.keys() == {(name, size) for name, model in models().items() for size in model.resolutions}


@pytest.mark.parametrize(
    ("amount", "micros"),
    [("0.0000004", 0), ("0.0000005", 1), ("0.0000015", 2), ("0.0000025", 3), ("1", 1_000_000), ("0.1", 100_000)],
)
def test_amounts_are_rounded_half_up(amount, micros):
    assert domain.to_micros(Decimal(amount)) == micros

"""The Prices service over real gRPC."""

import grpc
import pytest
import yaml

from filmgate.billing.v1 import prices_pb2, prices_pb2_grpc
from services.billing.prices import book_cache
from tests.support import bank, rpc
from tests.support.bank import micros


@pytest.fixture
async def served(postgres, clock, tmp_path):
    dear = {"animatic": {"720p": "0.000000005"}}
    for version, time, rates in ((1, "2026-01-01", None), (2, "2026-11-22", dear), (3, "2026-12-24", dear)):
        book = book_cache.contents()[0] | {"version": version, "effective_time": f"{time}T00:00:00Z"}
        book |= {"rates": rates} if rates else {}
        (tmp_path / f"{version}.yaml").write_text(yaml.safe_dump(book), "utf-8")
    async with (
        bank.bank(postgres, clock, books=tmp_path) as opened,
        rpc.serve("billing", opened.registrations) as served,
    ):
        yield served


def usage(**fields):
    return prices_pb2.Usage(**{"model": "animatic", "resolution": "720p", "duration_seconds": 5} | fields)


async def test_anyone_sees_the_prices_in_force_and_announced(served):
    answer = await served.stub(prices_pb2_grpc.PricesStub).ListPrices(prices_pb2.ListPricesRequest())
    assert [book.version for book in answer.price_books] == [1, 2, 3]
    rates = {rate.resolution: micros(rate.per_second) for rate in answer.price_books[0].rates}
    assert rates == {"480p": 50_000, "720p": 100_000, "1080p": 200_000}
    assert answer.price_books[1].rates[0].per_second.nanos == 5
    assert answer.price_books[0].effective_time.ToJsonString() == "2026-01-01T00:00:00Z"
    shares = {prices_pb2.Outcome.Name(charge.outcome): charge.percent for charge in answer.outcomes}
    assert shares == {**dict.fromkeys(prices_pb2.Outcome.keys()[1:], 0), "SUCCEEDED": 100, "CANCELLED_RUNNING": 100}


async def test_a_book_that_is_no_longer_in_force_is_not_listed(served, clock):
    clock.advance(bank.DAY)
    answer = await served.stub(prices_pb2_grpc.PricesStub).ListPrices(prices_pb2.ListPricesRequest())
    assert [book.version for book in answer.price_books] == [2, 3]


async def test_quote_by_the_version_in_force(served, clock):
    stub = served.stub(prices_pb2_grpc.PricesStub, "generation")
    quote = await stub.Quote(prices_pb2.QuoteRequest(usage=usage()))
    assert (micros(quote.price), quote.price.currency_code, quote.price_version) == (500_000, "CNY", 1)
    clock.advance(bank.DAY)
    quote = await stub.Quote(prices_pb2.QuoteRequest(usage=usage(duration_seconds=3600)))
    assert (micros(quote.price), quote.price_version) == (18, 2)


@pytest.mark.parametrize("wrong", [{"model": "wan"}, {"resolution": "8k"}])
async def test_quote_of_what_is_not_sold(served, wrong):
    stub = served.stub(prices_pb2_grpc.PricesStub, "generation")
    async with rpc.refused(grpc.StatusCode.FAILED_PRECONDITION, "PRICE_UNKNOWN") as found:
        await stub.Quote(prices_pb2.QuoteRequest(usage=usage(**wrong)))
    assert found[0].metadata["model"] == wrong.get("model", "animatic")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (prices_pb2.QuoteRequest(), "FIELD_REQUIRED"),
        (prices_pb2.QuoteRequest(usage=usage(duration_seconds=-1)), "FIELD_INVALID"),
        (prices_pb2.QuoteRequest(usage=usage(duration_seconds=3601)), "FIELD_INVALID"),
        (prices_pb2.QuoteRequest(usage=usage(model="m" * 101)), "FIELD_INVALID"),
    ],
)
async def test_quote_of_nonsense(served, request_, reason):
    async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT, reason):
        await served.stub(prices_pb2_grpc.PricesStub, "generation").Quote(request_)


@pytest.mark.parametrize("peer", ["edge", "media", "worker", "auth", "privacy", "operator"])
async def test_only_generation_quotes(served, peer):
    async with rpc.refused(grpc.StatusCode.PERMISSION_DENIED, "PEER_NOT_ALLOWED"):
        await served.stub(prices_pb2_grpc.PricesStub, peer).Quote(prices_pb2.QuoteRequest(usage=usage()))

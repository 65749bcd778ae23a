"""The door to billing: what its refusals become, and how old its prices may be."""

import datetime

import grpc
import pytest
from google.type import money_pb2

from services.generation.clients import Billing, NotAnswered, Settled
from services.runtime import channels, ids
from services.runtime.errors import Failure
from tests.support import rpc
from tests.support.billing import cashier


@pytest.fixture
async def till(postgres, clock):
    async with cashier(postgres, clock) as opened:
        yield opened


def order(clock, **fields):
    terms = {"model": "animatic", "resolution": "480p", "duration_seconds": 2, "price_version": 1, "max_price": None}
    who = {"organization": rpc.ORGANIZATION, "project": rpc.PROJECT, "account": rpc.ACCOUNT}
    end = clock.now() + datetime.timedelta(hours=2)
    return {"video": ids.new("vid"), "expire_time": end, **who, **terms, **fields}


async def test_a_quote_is_seconds_times_the_published_rate(till):
    quote = await till.billing.quote("animatic", "480p", 2)
    assert (quote.micros, quote.currency, quote.price_version) == (100_000, "CNY", 1)


async def test_a_new_price_is_quoted_five_seconds_late_at_most(till, clock):
    change = (await till.bank.books())[1].effective_time
    clock.advance((change - clock.now()).total_seconds() - 1)
    versions = []
    for seconds in (0, 1, 3.999, 0.001):
        clock.advance(seconds)
        versions.append((await till.billing.quote("animatic", "480p", 2)).price_version)
    assert versions == [1, 1, 1, 2]


async def test_a_remembered_quote_is_not_used_when_billing_has_gone(till):
    await till.billing.quote("animatic", "480p", 2)
    await till.stop()
    await till.billing._channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
    with pytest.raises(Failure) as refused:
        await till.billing.quote("animatic", "480p", 2)
    assert refused.value.kind.reason == "PEER_UNAVAILABLE"


async def test_a_model_without_a_price_is_not_on_offer(till):
    with pytest.raises(Failure) as refused:
        await till.billing.quote("sora", "480p", 2)
    assert refused.value.kind.reason == "MODEL_UNKNOWN"


async def test_a_hold_is_answered_again_and_its_end_too(till, clock):
    asked = order(clock)
    assert await till.billing.authorize(**asked) == await till.billing.authorize(**asked) == 100_000
    ends = [await till.billing.capture(asked["video"], "SUCCEEDED") for _ in range(2)]
    assert ends[0] == ends[1] == Settled("CAPTURED", 100_000)
    assert await till.billing.release(asked["video"]) == ends[0]


async def test_a_hold_that_has_ended_is_not_taken_for_an_open_one(till, clock):
    asked = order(clock)
    await till.billing.authorize(**asked)
    await till.billing.release(asked["video"])
    with pytest.raises(Failure) as refused:
        await till.billing.authorize(**asked)
    assert refused.value.kind.reason == "PEER_UNAVAILABLE"


async def test_a_barred_hold_says_that_the_clean_up_was_quicker(till, clock):
    asked = order(clock)
    await till.billing.release(asked["video"])
    with pytest.raises(Failure) as refused:
        await till.billing.authorize(**asked)
    assert refused.value.kind.reason == "PEER_UNAVAILABLE"


async def test_other_terms_for_a_hold_are_a_defect_of_ours(till, clock):
    asked = order(clock)
    await till.billing.authorize(**asked)
    with pytest.raises(Failure) as refused:
        await till.billing.authorize(**{**asked, "duration_seconds": 5})
    assert refused.value.kind.reason == "INTERNAL"


async def test_a_refusal_bears_billings_own_figures(till, clock):
    dear = order(clock, max_price=money_pb2.Money(currency_code="CNY", nanos=99_000_000))
    with pytest.raises(Failure) as refused:
        await till.billing.authorize(**dear)
    assert refused.value.kind.reason == "PRICE_ABOVE_MAX"
    assert (refused.value.metadata["price"], refused.value.metadata["max_price"]) == ("0.10", "0.099")
    assert refused.value.kind.domain == "generation.filmgate"


async def test_open_holds_are_listed_over_all_pages(postgres, clock):
    async with cashier(postgres, clock, open_videos=300, trial=100_000_000) as till:
        asked = [order(clock) for _ in range(201)]
        for one in asked:
            await till.billing.authorize(**one)
        listed = [hold.video async for hold in till.billing.open_holds()]
        assert sorted(listed) == sorted(one["video"] for one in asked)


async def test_prices_are_read_once_a_minute_and_kept_while_billing_is_down(till, clock):
    read = [await till.billing.terms()]
    readings = [till.billing._reading]
    for seconds in (29, 30, 1, 60):
        if seconds == 60:
            await till.stop()
        clock.advance(-3600)  # an age is not measured by a clock that may be set back (review B15)
        clock.advance(seconds)
        read.append(await till.billing.terms())
        readings.append(till.billing._reading)
        await readings[-1]
    assert readings[0] is readings[1] is readings[2] is not readings[3] is not readings[4]
    assert all(terms == read[0] for terms in (*read, await till.billing.terms()))
    assert (read[0].percent["CANCELLED_RUNNING"], read[0].cheapest["animatic"].nanos) == (100, 50_000_000)


async def test_without_billing_there_are_no_prices_and_nobody_waits_twice(clock):
    channel = channels.connect("billing", rpc.settings("generation", billing_address="127.0.0.1:1"))
    billing = Billing(channel, clock.steady)
    assert await billing.terms() is None
    reading = billing._reading
    assert await billing.terms() is None
    assert billing._reading is reading
    with pytest.raises(NotAnswered):
        await billing.authorize(**order(clock))
    await channel.close()

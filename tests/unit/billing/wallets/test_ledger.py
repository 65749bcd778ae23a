"""Holds from their beginning to each of their ends, and the edges of money, slots and time."""

import asyncio
import dataclasses
import itertools

import pytest
import yaml

from filmgate.billing.v1 import prices_pb2, wallets_pb2
from services.billing import errors
from services.billing.prices import book_cache
from services.billing.prices import domain as prices
from services.billing.prices.api import Prices
from services.billing.wallets.ledger import Ledger
from services.runtime import errors as common
from services.runtime import ids
from services.runtime.config import StartFault
from services.runtime.errors import Failure
from tests.support import bank
from tests.support.bank import CNY, DAY, micros, order

HELD, CAPTURED, RELEASED = (wallets_pb2.Hold.State.Value(name) for name in ("HELD", "CAPTURED", "RELEASED"))
PRICE = CNY // 2
"""Of 5 s at 720p."""


@pytest.fixture
async def house(postgres, clock, profile):
    async with bank.bank(postgres, clock, profile=profile) as opened:
        yield opened
        assert await opened.violations() == []


@pytest.fixture
async def customer(house):
    """An organization with 2 CNY in cash."""
    organization = ids.new("org")
    await house.give(organization, 2 * CNY)
    return organization


async def refusal(work) -> Failure:
    with pytest.raises(Failure) as refused:
        await work
    return refused.value


async def state(house, organization):
    wallet = await house.wallet(organization)
    return micros(wallet.available), micros(wallet.held), wallet.open_videos


async def test_a_hold_sets_money_and_a_slot_aside(house, customer, clock):
    hold = await house.authorize(order(customer, clock))
    assert (hold.state, micros(hold.amount), hold.price_version, hold.organization) == (HELD, PRICE, 1, customer)
    assert not hold.HasField("charged")
    assert await state(house, customer) == (2 * CNY - PRICE, PRICE, 1)
    assert len((await house.transactions(customer)).transactions) == 1, "only the gift: a hold is no transaction"


@pytest.mark.parametrize(
    ("outcome", "percent"),
    [
        ("SUCCEEDED", 100),
        ("MODERATED_BEFORE", 0),
        ("MODERATED_AFTER", 0),
        ("CANCELLED_QUEUED", 0),
        ("CANCELLED_RUNNING", 100),
        ("INFRASTRUCTURE_ERROR", 0),
        ("DEADLINE_PASSED", 0),
    ],
)
async def test_each_row_of_the_outcome_table(house, customer, clock, outcome, percent):
    video = (await house.authorize(order(customer, clock))).video
    hold = await house.capture(video, outcome)
    charged = PRICE * percent // 100
    assert (hold.state, micros(hold.charged)) == (CAPTURED if percent else RELEASED, charged)
    assert await state(house, customer) == (2 * CNY - charged, 0, 0)
    charges = [line for line in (await house.transactions(customer)).transactions if line.video == video]
    assert [micros(line.amount) for line in charges] == ([-charged] if percent else [])


@pytest.mark.promise("KLING-A11.7")
async def test_a_video_that_is_not_made_is_given_back_what_was_held_and_no_compensation(house, customer, clock):
    for outcome in ("", "MODERATED_BEFORE", "MODERATED_AFTER", "INFRASTRUCTURE_ERROR", "DEADLINE_PASSED"):
        video = (await house.authorize(order(customer, clock))).video
        await (house.capture(video, outcome) if outcome else house.release(video))
        assert await state(house, customer) == (2 * CNY, 0, 0)
    assert [micros(line.amount) for line in (await house.transactions(customer)).transactions] == [2 * CNY]
    services = [service for file in (prices_pb2, wallets_pb2) for service in file.DESCRIPTOR.services_by_name.values()]
    calls = {method.name for service in services for method in service.methods}
    looks, holds = (
        {"ListPrices", "Quote", "GetWallet", "ListTransactions", "ListHolds"},
        {"Authorize", "Capture", "Release"},
    )
    assert calls == looks | holds, "none of them gives money"


def test_the_outcome_table_has_no_other_row():
    rows = test_each_row_of_the_outcome_table.pytestmark[0].args[1]
    assert dict(rows) == book_cache.contents()[0]["outcomes"]
    assert len(rows) == len(prices.OUTCOMES)


async def test_a_share_of_the_price_goes_back_to_the_lots_in_reverse(postgres, clock, tmp_path):
    shares = {**book_cache.contents()[0]["outcomes"], "CANCELLED_RUNNING": 50}
    (tmp_path / "1.yaml").write_text(yaml.safe_dump(book_cache.contents()[0] | {"outcomes": shares}), "utf-8")
    async with bank.bank(postgres, clock, books=tmp_path) as house:
        customer = ids.new("org")
        first = await house.give(customer, 200_000, kind="PROMOTIONAL", seconds=DAY)
        second = await house.give(customer, CNY)
        video = (await house.authorize(order(customer, clock))).video
        hold = await house.capture(video, "CANCELLED_RUNNING")
        assert (hold.state, micros(hold.charged)) == (CAPTURED, PRICE // 2)
        wallet = await house.wallet(customer)
        assert [(lot.id, micros(lot.available)) for lot in wallet.lots] == [(second, CNY - 50_000)]
        charge = (await house.transactions(customer)).transactions[0]
        assert (micros(charge.amount), list(charge.lots)) == (-PRICE // 2, [first, second])
        assert charge.description == "Video, 5 s at 720p (animatic), cancelled while it ran"
        assert await house.violations() == []


async def test_lots_are_spent_in_the_published_order(house, clock):
    customer = ids.new("org")
    never = await house.give(customer, 100_000)
    late = await house.give(customer, 100_000, seconds=2 * DAY)
    cash = await house.give(customer, 100_000, seconds=DAY)
    promotional = await house.give(customer, 100_000, kind="PROMOTIONAL", seconds=DAY)
    clock.advance(1)
    newer = await house.give(customer, 100_000, kind="PROMOTIONAL", seconds=DAY - 1)
    urgent = await house.give(customer, 100_000, priority=1)
    expected = [urgent, promotional, newer, cash, late, never]
    wallet = await house.wallet(customer)
    assert [lot.id for lot in wallet.lots] == expected
    assert [lot.burn_position for lot in wallet.lots] == [1, 2, 3, 4, 5, 6]
    video = (await house.authorize(order(customer, clock))).video
    await house.capture(video)
    assert list((await house.transactions(customer)).transactions[0].lots) == expected[:5]


async def test_a_recorded_end_is_answered_again_whatever_is_asked(house, customer, clock):
    video = (await house.authorize(order(customer, clock))).video
    ended = await house.capture(video, "SUCCEEDED")
    clock.advance(DAY)
    assert await house.capture(video, "INFRASTRUCTURE_ERROR") == ended
    assert await house.release(video) == ended
    other = (await house.authorize(order(customer, clock, price_version=2))).video
    released = await house.release(other)
    assert (released.state, micros(released.charged)) == (RELEASED, 0)
    assert await house.capture(other, "SUCCEEDED") == released
    assert await state(house, customer) == (2 * CNY - PRICE, 0, 0)


async def test_authorize_is_idempotent_for_ever(house, customer, clock):
    request = order(customer, clock)
    hold = await house.authorize(request)
    clock.advance(400 * DAY)
    request.expire_time.FromDatetime(clock.now())
    request.max_price.currency_code = "CNY"
    assert await house.authorize(request) == hold, "neither max_price nor expire_time is a term"
    ended = await house.capture(hold.video)
    assert await house.authorize(request) == ended
    assert await state(house, customer) == (2 * CNY - PRICE, 0, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"resolution": "480p"},
        {"duration_seconds": 6},
        {"project": ids.new("prj")},
        {"account": ids.new("acc")},
        {"organization": ids.new("org")},
        {"model": "wan"},
        {"price_version": 7},
    ],
)
async def test_other_terms_for_the_same_video_are_refused(house, customer, clock, other):
    request = order(customer, clock)
    await house.authorize(request)
    fields = {"organization": customer} | other
    different = order(fields.pop("organization"), clock, video=request.video, **fields)
    assert (await refusal(house.authorize(different))).kind is errors.HOLD_DIFFERS
    assert await state(house, customer) == (2 * CNY - PRICE, PRICE, 1)


@pytest.mark.parametrize("end", ["release", "capture"])
async def test_a_video_without_a_hold_is_barred(house, customer, clock, end):
    request = order(customer, clock)
    barred = await getattr(house, end)(request.video)
    assert (barred.state, micros(barred.charged), barred.organization) == (RELEASED, 0, "")
    assert (await refusal(house.authorize(request))).kind is errors.HOLD_BARRED
    assert await house.capture(request.video) == barred
    assert await state(house, customer) == (2 * CNY, 0, 0)


async def test_the_last_micro_unit_can_be_spent_and_no_more(house, clock):
    rich, poor = ids.new("org"), ids.new("org")
    await house.give(rich, PRICE)
    await house.give(poor, PRICE - 1)
    assert (await house.authorize(order(rich, clock))).state == HELD
    assert await state(house, rich) == (0, PRICE, 1)
    refused = await refusal(house.authorize(order(poor, clock)))
    assert refused.kind is errors.BALANCE_TOO_LOW
    assert refused.metadata == {"needs": "0.50", "available": "0.499999", "currency": "CNY"}
    assert await state(house, poor) == (PRICE - 1, 0, 0)


async def test_a_refusal_leaves_nothing_so_the_same_request_may_be_tried_again(house, clock):
    request = order(ids.new("org"), clock)
    for _ in range(2):
        assert (await refusal(house.authorize(request))).kind is errors.BALANCE_TOO_LOW
    await house.give(request.organization, CNY)
    assert (await house.authorize(request)).state == HELD


async def test_an_open_hold_is_a_slot(house, clock):
    customer = ids.new("org")
    await house.give(customer, 10 * CNY)
    videos = [(await house.authorize(order(customer, clock))).video for _ in range(3)]
    refused = await refusal(house.authorize(order(customer, clock)))
    assert (refused.kind, refused.metadata) == (errors.TOO_MANY_OPEN_VIDEOS, {"limit": "3"})
    assert refused.retry_after
    await house.capture(videos[0])
    assert (await house.authorize(order(customer, clock))).state == HELD


async def test_a_replay_needs_neither_slot_nor_money(house, clock):
    customer = ids.new("org")
    await house.give(customer, 3 * PRICE)
    requests = [order(customer, clock) for _ in range(3)]
    holds = [await house.authorize(request) for request in requests]
    assert [await house.authorize(request) for request in requests] == holds


@pytest.mark.parametrize(("most", "allowed"), [(500_000, True), (499_999, False), (0, False)])
async def test_max_price_is_inclusive(house, customer, clock, most, allowed):
    request = order(customer, clock, max_price={"currency_code": "CNY", "nanos": most * 1000})
    if allowed:
        assert (await house.authorize(request)).state == HELD
        return
    refused = await refusal(house.authorize(request))
    assert refused.kind is errors.PRICE_ABOVE_MAX
    assert refused.metadata["price"] == "0.50"
    assert await state(house, customer) == (2 * CNY, 0, 0)


async def test_max_price_in_another_currency_is_refused(house, customer, clock):
    refused = await refusal(house.authorize(order(customer, clock, max_price={"currency_code": "USD", "units": 9})))
    assert (refused.kind, refused.metadata["field"]) == (common.FIELD_INVALID, "max_price.currency_code")


async def test_a_lot_cannot_be_spent_from_its_very_date_on(house, clock):
    customer = ids.new("org")
    await house.give(customer, CNY, seconds=60)
    clock.advance(59)
    assert (await house.authorize(order(customer, clock))).state == HELD
    clock.advance(1)
    refused = await refusal(house.authorize(order(customer, clock)))
    assert refused.metadata["available"] == "0.00"
    assert await state(house, customer) == (0, PRICE, 1), "shown as gone, booked or not"


@pytest.mark.promise("KLING-A2.2")
async def test_each_listed_price_is_what_is_charged(house, clock):
    clock.advance(2 * DAY)
    listed = await Prices(house.database, house.book_cache, clock).ListPrices(prices_pb2.ListPricesRequest(), None)
    customer = ids.new("org")
    await house.give(customer, 1000 * CNY)
    book = listed.price_books[0]
    assert len(book.rates) == 9
    for rate, seconds in itertools.product(book.rates, (1, 5, 10)):
        usage = {"model": rate.model, "resolution": rate.resolution, "price_version": book.version}
        video = (await house.authorize(order(customer, clock, duration_seconds=seconds, **usage))).video
        assert micros((await house.capture(video)).charged) == seconds * micros(rate.per_second) > 0


@pytest.mark.promise("KLING-A10.2", part="prices only: services, functions and entitlements have no versions")
@pytest.mark.promise("SILICON-U6.3")
async def test_a_video_keeps_the_price_that_it_was_sold_at(postgres, clock, tmp_path, profile):
    """Listed, held and charged at one price, although a dearer book has come into force before the end."""
    outcomes = book_cache.contents()[0]["outcomes"] | {"SUCCEEDED": 50}
    dear = {"rates": {"animatic": {"720p": "9.00"}}, "version": 2, "effective_time": "2026-11-21T13:00:00Z"}
    dear |= {"outcomes": outcomes}
    for number, changes in enumerate(({}, dear), 1):
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(book_cache.contents()[0] | changes), "utf-8")
    async with bank.bank(postgres, clock, books=tmp_path, profile=profile) as house:
        customer = ids.new("org")
        await house.give(customer, 100 * CNY)
        listed = prices.in_force(await house.books(), clock.now()).rates["animatic", "720p"]
        video = (await house.authorize(order(customer, clock))).video
        early = await refusal(house.authorize(order(customer, clock, price_version=2)))
        assert early.kind is errors.PRICE_UNKNOWN
        clock.advance(3600 + 600 - 1)
        grace = (await house.authorize(order(customer, clock))).video
        clock.advance(1)
        refused = await refusal(house.authorize(order(customer, clock)))
        assert refused.kind is errors.PRICE_UNKNOWN
        for old in (video, grace):
            assert micros((await house.capture(old)).charged) == listed * 5 * CNY
        new = await house.authorize(order(customer, clock, price_version=2))
        assert micros((await house.capture(new.video)).charged) == 45 * CNY // 2


@pytest.mark.parametrize("wrong", [{"price_version": 2}, {"model": "wan"}, {"resolution": "8k"}])
async def test_what_is_not_sold_is_not_held(house, customer, clock, wrong):
    assert (await refusal(house.authorize(order(customer, clock, **wrong)))).kind is errors.PRICE_UNKNOWN


@pytest.mark.promise("SILICON-U6.1")
async def test_the_charge_follows_from_the_seconds_of_each_call(house, clock):
    customer = ids.new("org")
    await house.give(customer, 100 * CNY)
    for size, seconds, charge in (("480p", 7, 350_000), ("720p", 10, 1_000_000), ("1080p", 1, 200_000)):
        video = (await house.authorize(order(customer, clock, resolution=size, duration_seconds=seconds))).video
        await house.capture(video)
        line = (await house.transactions(customer)).transactions[0]
        assert (micros(line.amount), line.video) == (-charge, video)
        assert line.description == f"Video, {seconds} s at {size} (animatic)"
        clock.advance(1)


async def test_trial_credit_comes_with_the_first_use(postgres, clock):
    async with bank.bank(postgres, clock, trial=10 * CNY, valid_days=30) as house:
        customer = ids.new("org")
        hold = await house.authorize(order(customer, clock))
        wallet = await house.wallet(customer)
        assert (micros(wallet.available), micros(wallet.held)) == (10 * CNY - PRICE, PRICE)
        (lot,) = wallet.lots
        assert (lot.kind, micros(lot.granted)) == (wallets_pb2.Lot.PROMOTIONAL, 10 * CNY)
        assert lot.expire_time.ToDatetime() == clock.now().replace(month=12, tzinfo=None)
        await house.capture(hold.video)
        lines = [(line.description, micros(line.amount)) for line in (await house.transactions(customer)).transactions]
        assert sorted(lines) == [("Trial credit", 10 * CNY), ("Video, 5 s at 720p (animatic)", -PRICE)]


async def test_trial_credit_is_given_once_however_many_come_at_once(postgres, clock):
    async with bank.bank(postgres, clock, trial=10 * CNY, open_videos=8) as house:
        customer = ids.new("org")
        looks = [house.wallet(customer) for _ in range(8)]
        holds = [house.authorize(order(customer, clock)) for _ in range(8)]
        await asyncio.gather(*looks, *holds)
        assert await state(house, customer) == (10 * CNY - 8 * PRICE, 8 * PRICE, 8)
        assert len((await house.transactions(customer)).transactions) == 1
        assert await house.violations() == []


async def test_a_profile_without_trial_credit_gives_an_empty_wallet(house):
    assert await state(house, ids.new("org")) == (0, 0, 0)


async def test_a_profile_with_credit_in_another_currency_stops_the_start(postgres, clock):
    async with bank.bank(postgres, clock, trial=10) as house:
        foreign = dataclasses.replace(bank.rules().trial_credit, currency="USD", amount_micros=1)
        other = Ledger(dataclasses.replace(bank.rules(), trial_credit=foreign), house.book_cache, 1)
        async with house.database.transaction() as session:
            await house.ledger.check(session, clock.now())
            with pytest.raises(StartFault, match="USD"):
                await other.check(session, clock.now())

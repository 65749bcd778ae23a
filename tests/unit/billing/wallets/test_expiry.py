"""Lots past their dates: booked by the sweep, and by the end of a hold for what it held."""

import asyncio

import pytest

from filmgate.billing.v1 import wallets_pb2
from services.billing.wallets import store
from services.runtime import ids
from tests.support import bank
from tests.support.bank import CNY, micros, order

EXPIRY = wallets_pb2.Transaction.EXPIRY
PRICE = CNY // 2


@pytest.fixture
async def house(postgres, clock):
    async with bank.bank(postgres, clock) as opened:
        yield opened
        assert await opened.violations() == []


@pytest.fixture
async def customer(house):
    """An organization with 1 CNY that ends in a minute, and 1 CNY that never does."""
    organization = ids.new("org")
    await house.give(organization, CNY, kind="PROMOTIONAL", seconds=60)
    await house.give(organization, CNY)
    return organization


async def lapses(house, organization):
    lines = (await house.transactions(organization)).transactions
    return [(micros(line.amount), line.description) for line in lines if line.kind == EXPIRY]


async def test_the_sweep_books_the_unspent_rest_once_at_the_very_date(house, customer, clock):
    clock.advance(59)
    assert await house.sweep.sweep() == 0
    clock.advance(1)
    assert await house.sweep.sweep() == 1
    assert await house.sweep.sweep() == 0
    assert await lapses(house, customer) == [(-CNY, "Credit unused at its end date, lapsed")]
    assert micros((await house.wallet(customer)).available) == CNY


@pytest.mark.parametrize(("outcome", "lapsed"), [("SUCCEEDED", 0), ("INFRASTRUCTURE_ERROR", PRICE)])
async def test_a_held_part_survives_until_its_hold_ends(house, customer, clock, outcome, lapsed):
    video = (await house.authorize(order(customer, clock))).video
    clock.advance(60)
    assert await house.sweep.sweep() == 1
    wallet = await house.wallet(customer)
    assert (micros(wallet.available), micros(wallet.held)) == (CNY, PRICE)
    await house.capture(video, outcome)
    wallet = await house.wallet(customer)
    assert (micros(wallet.available), micros(wallet.held)) == (CNY, 0)
    assert sum(amount for amount, _ in await lapses(house, customer)) == -(CNY - PRICE) - lapsed
    assert await house.sweep.sweep() == 0


async def test_what_comes_back_before_the_date_can_be_spent_again(house, customer, clock):
    video = (await house.authorize(order(customer, clock))).video
    clock.advance(59)
    await house.release(video)
    assert micros((await house.wallet(customer)).available) == 2 * CNY
    clock.advance(1)
    assert await house.sweep.sweep() == 1
    assert await lapses(house, customer) == [(-CNY, "Credit unused at its end date, lapsed")]


async def test_a_slow_clock_that_returns_after_the_sweep_is_swept_again(house, customer, clock):
    video = (await house.authorize(order(customer, clock))).video
    clock.advance(60)
    await house.sweep.sweep()
    clock.advance(-1)
    await house.release(video)
    clock.advance(1)
    assert await house.sweep.sweep() == 1
    assert [amount for amount, _ in await lapses(house, customer)] == [-PRICE, -PRICE]


async def test_sweeps_at_once_book_once(house, clock):
    customers = [ids.new("org") for _ in range(5)]
    for customer in customers:
        await house.give(customer, CNY, seconds=60)
        await house.give(customer, CNY, seconds=60)
    clock.advance(60)
    counted = await asyncio.gather(*(house.sweep.sweep() for _ in range(4)))
    assert sum(counted) == 10
    for customer in customers:
        assert [amount for amount, _ in await lapses(house, customer)] == [-CNY, -CNY]


async def test_the_sweep_runs_until_it_is_drained(house, customer, clock):
    clock.advance(60)
    running = asyncio.create_task(house.sweep.run())
    while not await lapses(house, customer):
        await asyncio.sleep(0)
    await house.sweep.drain(1)
    await asyncio.wait_for(running, 60)


async def test_a_wallet_that_cannot_be_swept_does_not_keep_the_others(house, clock):
    customers = [ids.new("org") for _ in range(3)]
    for organization in customers:
        await house.give(organization, CNY, seconds=60)
    clock.advance(60)
    async with house.database.transaction() as session:
        await store.lock_wallet(session, customers[0])
        assert await house.sweep.sweep() == 2
    assert await house.sweep.sweep() == 1

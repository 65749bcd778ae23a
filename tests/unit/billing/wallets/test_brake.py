"""The safety brake: a wallet in which too much happens within an hour is parked until an operator looks."""

import pytest
import sqlalchemy as sa

from services.billing import audit, errors
from services.billing.wallets import store
from services.runtime import ids
from services.runtime.errors import Failure
from services.runtime.jobs import JobRow
from tests.support import bank
from tests.support.bank import CNY, micros, order


@pytest.fixture
async def house(postgres, clock):
    async with bank.bank(postgres, clock, journals_per_hour=3) as opened:
        yield opened
        assert await opened.violations() == []


@pytest.fixture
async def customer(house):
    organization = ids.new("org")
    await house.give(organization, 100 * CNY)
    return organization


async def make(house, customer, clock):
    await house.capture((await house.authorize(order(customer, clock))).video)


async def events(house):
    """What will be told to the audit log."""
    async with house.database.transaction() as session:
        told = await session.scalars(sa.select(JobRow.payload).where(JobRow.kind == audit.KIND).order_by(JobRow.id))
        return [(event["actor"], event["action"], event["subject"], event["detail"]) for event in told]


async def test_one_journal_too_many_parks_the_wallet_for_new_holds_only(house, customer, clock):
    running = (await house.authorize(order(customer, clock))).video
    for _ in range(3):
        await make(house, customer, clock)
    assert await events(house) == []
    last = await house.authorize(order(customer, clock))
    await house.capture(last.video)
    with pytest.raises(Failure) as refused:
        await house.authorize(order(customer, clock))
    assert refused.value.kind is errors.WALLET_PARKED
    assert await events(house) == [("system", "ParkWallet", customer, {"kind": "CHARGE", "limit": "3"})]
    assert (await house.capture(running)).end_time, "settling goes on"
    assert micros((await house.wallet(customer)).available) == 100 * CNY - 5 * CNY // 2
    assert (await house.authorize(order(customer, clock, video=running))).state, "so does a replay"


async def test_the_hour_moves_on(house, customer, clock):
    for _ in range(8):
        await make(house, customer, clock)
        clock.advance(1201)
    assert await events(house) == []


async def test_the_brake_holds_one_wallet_only(house, customer, clock):
    for _ in range(4):
        await make(house, customer, clock)
    other = ids.new("org")
    await house.give(other, CNY)
    assert (await house.authorize(order(other, clock))).amount


async def test_an_operator_releases_it_and_it_counts_anew(house, customer, clock):
    for _ in range(4):
        await make(house, customer, clock)
    async with house.database.transaction() as session:
        assert await store.unpark(session, customer, clock.now())
        assert not await store.unpark(session, customer, clock.now())
    for _ in range(3):
        clock.advance(1)
        await make(house, customer, clock)
    async with house.database.transaction() as session:
        assert await session.scalar(sa.text("SELECT park_time FROM wallets")) is None
    clock.advance(1)
    await make(house, customer, clock)
    async with house.database.transaction() as session:
        assert await session.scalar(sa.text("SELECT park_time FROM wallets")) == clock.now()

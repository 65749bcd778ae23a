"""What the metrics say of holds, wallets and the ledger."""

import datetime

import pytest
import sqlalchemy as sa

from services.billing.wallets.census import Census
from services.runtime import ids
from services.runtime.database import Database
from tests.support import bank
from tests.support.bank import CNY, Bank, order, rules
from tests.support.figures import figure


@pytest.fixture
async def house(postgres, clock):
    async with bank.bank(postgres, clock, journals_per_hour=3) as opened:
        yield opened


def holds(outcome: str) -> float:
    return figure("filmgate_holds_total", {"outcome": outcome})


async def test_holds_are_counted_once_when_they_are_made_and_when_they_end(house, clock):
    customer, request = ids.new("org"), None
    await house.give(customer, 10 * CNY)
    before = {outcome: holds(outcome) for outcome in ("held", "captured", "released")}
    for end in (house.capture, house.release):
        request = order(customer, clock)
        video = (await house.authorize(request)).video
        clock.advance(1)
        await house.authorize(request)
        await end(video)
        clock.advance(1)
        await end(video)
    assert {outcome: holds(outcome) - before[outcome] for outcome in before} == {
        "held": 2, "captured": 1, "released": 1,
    }  # fmt: skip


async def test_open_and_overdue_holds_and_parked_wallets_are_counted(house, clock):
    customer, census = ids.new("org"), Census(house.database, clock, 600)
    await house.give(customer, 10 * CNY)
    await census.count()
    open_before, parked_before = figure("filmgate_holds_open"), figure("filmgate_wallets_parked")
    assert (open_before, figure("filmgate_holds_overdue"), parked_before) == (0, 0, 0)
    hold = await house.authorize(order(customer, clock))
    await census.count()
    assert (figure("filmgate_holds_open"), figure("filmgate_holds_overdue")) == (1, 0)
    end = hold.expire_time.ToDatetime(tzinfo=datetime.UTC)
    clock.advance((end - clock.now()).total_seconds())
    await census.count()
    assert figure("filmgate_holds_overdue") == 1
    await house.capture(hold.video)
    for _ in range(4):
        await house.capture((await house.authorize(order(customer, clock))).video)
        async with house.database.transaction() as session:
            parked = await session.scalar(sa.text("SELECT count(*) FROM wallets WHERE park_time IS NOT NULL"))
        if parked:
            break
    await census.count()
    assert (figure("filmgate_holds_open"), figure("filmgate_wallets_parked")) == (0, 1)


async def test_a_broken_book_is_a_figure_and_a_line_that_names_the_rule(postgres, clock, caplog):
    owner_url, url = postgres.urls("billing")
    database, owner = Database(url), Database(owner_url)
    house, census = Bank(database, clock, rules()), Census(database, clock, 600)
    await house.publish()
    await house.give(ids.new("org"), 2 * CNY)
    await census.check()
    assert figure("filmgate_ledger_violations") == 0
    assert figure("filmgate_ledger_checked_seconds") == clock.now().timestamp()
    async with owner.transaction() as session:
        await session.execute(sa.text("ALTER TABLE lots DISABLE TRIGGER USER"))
        await session.execute(sa.text("UPDATE lots SET granted = granted + 1"))
    with caplog.at_level("ERROR", "filmgate"):
        await census.check()
    assert figure("filmgate_ledger_violations") == 1
    assert "a lot is granted once" in caplog.text
    assert "lot_" not in caplog.text
    await database.close()
    await owner.close()

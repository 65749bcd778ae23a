"""The invariants see what an owner of the database could do to the books behind the triggers' back."""

import pytest
import sqlalchemy as sa

from services.billing.wallets.invariants import RULES, violations
from services.runtime import ids
from services.runtime.database import Database
from tests.support.bank import CNY, Bank, order, rules

FALSIFIED = {
    "a journal sums to zero": "UPDATE entries SET amount = amount + 1 WHERE account = 'REVENUE'",
    "has the lines that it says": "UPDATE journals SET lines = 3",
    "a wallet is the sum of its lots": "UPDATE wallets SET available = available + 1",
    "held what its open holds took": "UPDATE holds SET state = 'RELEASED', charged = 0, end_time = now()"
    " WHERE state = 'HELD'",
    "a lot is the sum of its entries": "UPDATE entries SET amount = amount + 1 WHERE account = 'CUSTOMER_CASH'",
    "the sum of its customer entries": "UPDATE entries SET organization = 'org_x' WHERE account = 'CUSTOMER_CASH'",
    "does and says what was booked": "UPDATE journals SET description = description || '.'",
    "a lot is granted once": "UPDATE lots SET granted = granted + 1",
    "below zero": "UPDATE entries SET amount = -amount WHERE account = 'CUSTOMER_CASH'",
    "charges at most what it held": "ALTER TABLE holds DROP CONSTRAINT holds_charged_within_held;"
    "UPDATE holds SET charged = amount + 1 WHERE state = 'CAPTURED'",
    "nothing is negative": "ALTER TABLE lots DROP CONSTRAINT lots_not_negative;UPDATE lots SET available = -1",
    "a hold is the sum of what it took": "UPDATE hold_lots SET amount = amount + 1",
    "is booked once": "UPDATE holds SET charged = charged - 1 WHERE state = 'CAPTURED'",
    "a charge belongs to a captured hold": "UPDATE journals SET video = 'vid_x' WHERE kind = 'CHARGE'",
    "a bar holds nothing": "ALTER TABLE holds DROP CONSTRAINT holds_terms;"
    "UPDATE holds SET organization = NULL WHERE state = 'CAPTURED'",
}


@pytest.mark.promise("KLING-A8.1c", part="a forgery by the database's owner that agrees with itself is not found")
@pytest.mark.parametrize("rule", FALSIFIED)
async def test_a_falsified_book_is_found(postgres, clock, profile, rule):
    owner_url, url = postgres.urls("billing")
    database, owner = Database(url), Database(owner_url)
    house = Bank(database, clock, rules(profile=profile))
    await house.publish()
    customer = ids.new("org")
    await house.give(customer, 2 * CNY)
    await house.capture((await house.authorize(order(customer, clock))).video)
    await house.authorize(order(customer, clock))
    async with owner.transaction() as session:
        assert await violations(session) == []
        for table in ("wallets", "lots", "holds", "hold_lots", "journals", "entries"):
            await session.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        for statement in FALSIFIED[rule].split(";"):
            await session.execute(sa.text(statement))
        found = await violations(session)
    assert any(rule in violation for violation in found), found
    await database.close()
    await owner.close()


def test_every_rule_has_its_falsifier():
    assert all(any(part in rule for part in FALSIFIED) for rule in RULES)

"""What PostgreSQL itself keeps: nobody, not even a defect of ours, gets a false ledger past a commit."""

import datetime

import pytest
import sqlalchemy as sa

from services.billing.wallets import store
from services.billing.wallets.domain import Line, Movement
from services.billing.wallets.tables import Hold
from services.runtime import ids
from services.runtime.database import Base, Database
from tests.support import bank
from tests.support.bank import CNY, order


@pytest.fixture
async def open_bank(postgres, clock, profile):
    """A wallet with 1 CNY in cash, one hold of 0.50 that is open, and one that was charged."""
    async with bank.bank(postgres, clock, profile=profile) as opened:
        opened.organization = ids.new("org")
        opened.lot = await opened.give(opened.organization, 2 * CNY)
        opened.ended = await opened.authorize(order(opened.organization, clock))
        opened.open = await opened.authorize(order(opened.organization, clock))
        await opened.capture(opened.ended.video)
        yield opened
        assert await opened.violations() == []


async def execute(database: Database, *statements: str, **values: object) -> None:
    async with database.transaction() as session:
        for statement in statements:
            await session.execute(sa.text(statement), values)


@pytest.mark.promise("KLING-A8.1c", part="a forgery by the database's owner that agrees with itself is not found")
@pytest.mark.parametrize("table", ["journals", "entries", "hold_lots", "price_books"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_the_service_role_cannot_change_what_is_booked(open_bank, table, change):
    for column in Base.metadata.tables[table].columns:
        with pytest.raises(sa.exc.ProgrammingError, match=r"permission denied|updated to DEFAULT"):
            await execute(open_bank.database, change.format(table, column.name, column.name))


@pytest.mark.parametrize("table", ["wallets", "lots", "holds"])
async def test_nothing_of_the_ledger_is_deleted(open_bank, table):
    with pytest.raises(sa.exc.DBAPIError, match=r"are kept|still referenced"):
        await execute(open_bank.database, f"DELETE FROM {table}")  # noqa: S608


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ((Line("PROMOTION_EXPENSE", -10), Line("REVENUE", 11)), "not balanced"),
        ((Line("REVENUE", 10),), "journals_lines"),
        ((Line("REVENUE", 10), Line("CUSTOMER_CASH", -10)), "entries_lot"),
        ((Line("REVENUE", 0), Line("BREAKAGE", 0)), "entries_not_zero"),
    ],
)
async def test_a_journal_that_does_not_balance_is_refused(open_bank, clock, lines, fault):
    movement = Movement("GRANT", "test", "unbalanced", open_bank.organization, "CNY", "A mistake", lines)
    with pytest.raises(sa.exc.IntegrityError, match=fault):
        async with open_bank.database.transaction() as session:
            await store.book(session, movement, clock.now(), 100)


async def test_a_journal_balances_in_each_currency(open_bank):
    with pytest.raises(sa.exc.IntegrityError, match="not balanced"):
        await execute(
            open_bank.database,
            "INSERT INTO journals VALUES ('txn_x', 'GRANT', 'test', 'x', '', :own, NULL, '', 2, NULL, now(), now())",
            "INSERT INTO entries (journal, account, organization, amount, currency) VALUES "
            "('txn_x', 'REVENUE', :own, 5, 'CNY'), ('txn_x', 'BREAKAGE', :own, -5, 'USD')",
            own=open_bank.organization,
        )


async def test_nothing_is_added_to_a_journal_later(open_bank):
    with pytest.raises(sa.exc.IntegrityError, match="not balanced"):
        await execute(
            open_bank.database,
            "INSERT INTO entries (journal, account, organization, amount, currency) "
            "SELECT journal, 'REVENUE', organization, amount.of, 'CNY' FROM "
            "(SELECT journal, organization FROM entries LIMIT 1) AS old, (VALUES (5), (-5)) AS amount (of)",
        )


async def test_a_journal_has_entries_of_its_own_wallet_only(open_bank):
    other = ids.new("org")
    await open_bank.give(other, CNY)
    with pytest.raises(sa.exc.IntegrityError, match="another wallet"):
        await execute(
            open_bank.database,
            "INSERT INTO journals VALUES ('txn_x', 'GRANT', 'test', 'x', '', :own, NULL, '', 2, NULL, now(), now())",
            "INSERT INTO entries (journal, account, organization, amount, currency) VALUES "
            "('txn_x', 'REVENUE', :own, 5, 'CNY'), ('txn_x', 'BREAKAGE', :other, -5, 'CNY')",
            own=open_bank.organization,
            other=other,
        )


async def test_the_same_thing_is_booked_once(open_bank, clock):
    lines = (Line("PROMOTION_EXPENSE", -10), Line("REVENUE", 10))
    movement = Movement("CHARGE", "charge", open_bank.ended.video, open_bank.organization, "CNY", "Again", lines)
    with pytest.raises(sa.exc.IntegrityError, match="scope_key"):
        async with open_bank.database.transaction() as session:
            await store.book(session, movement, clock.now(), 100)


@pytest.mark.promise("KLING-A8.1c", part="a forgery by the database's owner that agrees with itself is not found")
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE wallets SET available = available + 1", "available is not the sum of its lots"),
        ("UPDATE wallets SET held = held + 1", "held is not the sum of its lots"),
        ("UPDATE wallets SET open_holds = 0", "held is not the sum of its open holds"),
        ("UPDATE wallets SET available = -1", "wallets_not_negative"),
        ("UPDATE lots SET available = available - 1", "available is not the sum of its lots"),
        ("UPDATE lots SET held = held - 1, available = available + 1", "is not the sum of its lots"),
        ("UPDATE lots SET available = -1", "lots_not_negative"),
        ("UPDATE lots SET available = granted + 1", "lots_within_grant"),
        ("UPDATE lots SET granted = 5 * granted", "terms of lot"),
        ("UPDATE lots SET expire_time = now()", "terms of lot"),
        ("UPDATE holds SET end_time = now() WHERE state <> 'HELD'", "never changes"),
        ("UPDATE holds SET state = 'HELD', end_time = NULL, charged = NULL WHERE state <> 'HELD'", "never changes"),
        ("UPDATE holds SET amount = 1 WHERE state = 'HELD'", "terms of hold"),
        ("UPDATE holds SET expire_time = now() WHERE state = 'HELD'", "terms of hold"),
        (
            "UPDATE holds SET state = 'CAPTURED', end_time = now(), charged = amount + 1 WHERE state = 'HELD'",
            "holds_charged_within_held",
        ),
        (
            "UPDATE holds SET state = 'CAPTURED', end_time = now(), charged = -1 WHERE state = 'HELD'",
            "holds_charged_within_held",
        ),
        (
            "UPDATE holds SET state = 'RELEASED', end_time = now(), charged = 1 WHERE state = 'HELD'",
            "holds_released_is_free",
        ),
        ("UPDATE holds SET state = 'RELEASED', charged = 0 WHERE state = 'HELD'", "holds_end"),
        (
            "UPDATE holds SET state = 'CAPTURED', end_time = now(), charged = amount WHERE state = 'HELD'",
            "held is not the sum of its open holds",
        ),
        ("INSERT INTO hold_lots SELECT video, lot || 'x', 2, 5 FROM hold_lots", "foreign key|hold is not the sum"),
    ],
)
async def test_a_false_change_does_not_pass_the_commit(open_bank, change, fault):
    with pytest.raises(sa.exc.IntegrityError, match=fault):
        await execute(open_bank.database, change)


async def test_a_hold_is_the_sum_of_what_it_took(open_bank):
    """A second hold that takes from a lot what another one gave: every sum but the hold's own is right."""
    second = await open_bank.give(open_bank.organization, CNY)
    with pytest.raises(sa.exc.IntegrityError, match=r"a lot does not hold|a hold is not the sum"):
        await execute(
            open_bank.database,
            "INSERT INTO hold_lots VALUES (:video, :lot, 2, 5)",
            video=open_bank.open.video,
            lot=second,
        )


async def test_a_bar_has_no_terms_and_a_hold_has_all(open_bank):
    for column in ("project", "model", "price_version", "expire_time"):
        fields = {name: f"'{name}'" for name in ("project", "account", "model", "resolution")}
        fields |= {"duration_seconds": "5", "price_version": "1", "expire_time": "now()", column: "NULL"}
        with pytest.raises(sa.exc.IntegrityError, match="holds_terms"):
            await execute(
                open_bank.database,
                "INSERT INTO holds (video, id, organization, currency, amount, state, create_time, "  # noqa: S608
                f"{', '.join(fields)}) VALUES ('vid_x', 'hld_x', :organization, 'CNY', 0, 'HELD', now(), "
                f"{', '.join(fields.values())})",
                organization=open_bank.organization,
            )


async def test_the_oldest_open_hold_comes_first_page_by_page(open_bank, clock):
    from services.runtime.pages import Page

    rich = ids.new("org")
    await open_bank.give(rich, 100 * CNY)
    clock.advance(1)
    for _ in range(3):
        await open_bank.authorize(order(rich, clock))
    async with open_bank.database.transaction() as session:
        every = await store.open_holds(session, Page(10))
        assert every[0].id == open_bank.open.id
        assert [row.id for row in every] == [row.id for row in sorted(every, key=lambda row: (row.create_time, row.id))]
        rest = await store.open_holds(session, Page(10, (every[1].create_time, every[1].id)))
    assert [row.id for row in rest] == [row.id for row in every[2:]]


async def test_tables_and_migration_say_the_same(open_bank):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from services.runtime.database import tables_of

    own = {table.name for table in tables_of("billing")} - {"requests"}
    assert {"wallets", "lots", "holds", "hold_lots", "journals", "entries", "price_books", "jobs"} <= own

    def compare(connection):
        options = {"include_object": lambda _, name, kind, *__: kind != "table" or name in own}
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)

    async with open_bank.database.engine.connect() as connection:
        assert await connection.run_sync(compare) == []


async def test_times_are_kept_to_the_microsecond(open_bank, clock):
    now = clock.now() + datetime.timedelta(microseconds=1)
    video = ids.new("vid")
    async with open_bank.database.transaction() as session:
        await store.bar(session, video, "CNY", now)
    async with open_bank.database.transaction() as session:
        assert (await session.get_one(Hold, video)).end_time == now

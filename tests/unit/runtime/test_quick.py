"""Transactions on the driver itself: whole or not at all, refused as others are, nothing left behind."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.runtime import errors
from services.runtime.database import Database
from tests.support import toy_database
from tests.support.clock import START
from tests.support.database import Server
from tests.support.toy_database import Thing

ADD = sa.text("INSERT INTO things (id, create_time) VALUES (:id, :now) RETURNING id, create_time").bindparams(
    sa.bindparam("id", type_=sa.Text), sa.bindparam("now", type_=sa.DateTime(timezone=True))
)
ALL = sa.select(Thing.id, Thing.create_time, Thing.owner).order_by(Thing.id)
MINE = sa.select(Thing.id).where(Thing.owner == "", Thing.id == sa.bindparam("id"))
SLEEP, END = sa.text("SELECT pg_sleep(60)"), sa.text("SELECT pg_terminate_backend(pg_backend_pid())")
JSON = sa.text("SELECT CAST(:given AS jsonb) AS given").bindparams(sa.bindparam("given", type_=JSONB))


async def ids(database: Database) -> list[str]:
    async with database.autocommit() as quick:
        return [row.id for row in await quick.execute(ALL)]


async def test_rows_have_names_and_times_are_in_utc(database: Database) -> None:
    async with database.driver_transaction() as quick:
        made = (await quick.execute(ADD, {"id": "a", "now": START})).one()
        assert (made.id, made.create_time) == ("a", START)
        assert made.create_time.utcoffset() is not None
        assert (await quick.execute(MINE, {"id": "a"})).scalar() == "a"
        nothing = await quick.execute(MINE, {"id": "b"})
        assert (nothing.first(), nothing.scalar(), nothing.all()) == (None, None, [])
        with pytest.raises(ValueError, match="unpack"):
            nothing.one()
        assert (await quick.execute(JSON, {"given": {"a": [1]}})).scalar() == {"a": [1]}
    assert await ids(database) == ["a"]


async def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    done = []
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  what rolls back is the block
        async with database.driver_transaction() as quick:
            quick.after_commit.append(lambda: done.append(1))
            await quick.execute(ADD, {"id": "a", "now": START})
            raise ZeroDivisionError
    assert (await ids(database), done) == ([], [])


async def test_what_waits_for_the_commit_is_called_after_it(database: Database) -> None:
    done = []
    async with database.driver_transaction() as quick:
        quick.after_commit.append(lambda: done.append(1))
        assert done == []
    assert done == [1]


async def test_a_statement_that_fails_is_raised_and_the_connection_lives_on(database: Database) -> None:
    for _ in range(2):
        with pytest.raises(asyncpg.UniqueViolationError):  # noqa: PT012  what rolls back is the block
            async with database.driver_transaction() as quick:
                await quick.execute(ADD, {"id": "a", "now": START})
                await quick.execute(ADD, {"id": "a", "now": START})
    assert await ids(database) == []


async def test_a_statement_has_an_end(database: Database) -> None:
    async with database.autocommit() as quick:
        shown = [(await quick.execute(sa.text(f"SHOW {name}"))).scalar() for name in ("statement_timeout", "timezone")]
    assert shown == ["10s", "UTC"]


async def test_no_database_is_unavailable(tmp_path: Path) -> None:
    opened = Database(f"postgresql+asyncpg://nobody:x@/nothing?host={tmp_path}", pool_size=1)
    for _ in range(2):
        with pytest.raises(errors.Failure) as caught:
            await ids(opened)
        assert caught.value.kind is errors.PEER_UNAVAILABLE
    await opened.close()


async def test_a_lost_connection_is_unavailable_and_the_next_call_recovers(database: Database) -> None:
    with pytest.raises(errors.Failure) as caught:
        async with database.driver_transaction() as quick:
            await quick.execute(END)
    assert caught.value.kind is errors.PEER_UNAVAILABLE
    assert await ids(database) == []


async def test_a_lock_that_others_hold_too_long_is_unavailable(database: Database) -> None:
    async with database.transaction() as holder:
        await holder.execute(sa.text("LOCK TABLE things IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(errors.Failure) as caught:  # noqa: PT012  the refusal ends the block
            async with database.driver_transaction() as quick:
                await quick.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))
                await quick.execute(ALL)
    assert caught.value.kind is errors.PEER_UNAVAILABLE


async def test_a_fault_of_the_block_is_not_taken_for_one_of_the_database(database: Database) -> None:
    with pytest.raises(FileNotFoundError):
        async with database.driver_transaction():
            Path("/nowhere/at/all").read_bytes()


async def test_a_cancelled_caller_leaves_no_lock_and_no_dead_connection(database: Database) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    opened = Database(url, pool_size=1)

    async def hold() -> None:
        async with opened.driver_transaction() as quick:
            await quick.execute(ADD, {"id": "a", "now": START})
            await quick.execute(SLEEP)

    for _ in range(3):
        task = asyncio.create_task(hold())
        await toy_database.until_sleeping(database)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with opened.driver_transaction() as quick:
                await quick.execute(ADD, {"id": "a", "now": START})
                raise ZeroDivisionError
    await opened.close()


async def test_no_more_connections_are_taken_than_there_are_places(postgres: Server) -> None:
    _, url = postgres.urls("toy", toy_database.build)
    opened = Database(url, pool_size=2)
    whose = sa.text("SELECT pg_backend_pid()")

    async def pid() -> int:
        async with opened.driver_transaction() as quick:
            return int((await quick.execute(whose)).scalar())

    assert len(set(await asyncio.gather(*(pid() for _ in range(20))))) <= 2
    await opened.close()

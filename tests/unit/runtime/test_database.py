"""Transactions, grants, and migrations under a lock."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.runtime import database as module
from services.runtime import errors
from services.runtime.database import Base, Database
from tests.support import toy_database
from tests.support.clock import START
from tests.support.database import Server
from tests.support.toy_database import Thing

MIGRATION = '''"""Makes something."""
import sqlalchemy as sa
from alembic import op
revision = "{revision}"
down_revision = {before}
def upgrade() -> None:
    """Makes something."""
    op.execute("SELECT pg_sleep(0.2)")
    op.create_table("{table}", sa.Column("id", sa.Text, primary_key=True))
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a service with two migrations, known to the runtime as `migrated`."""
    versions = tmp_path / "migrated" / "migrations" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "runtime").symlink_to(Path(module.__file__).parent)
    (versions / "0001_a.py").write_text(MIGRATION.format(revision="migrated_0001", before=None, table="first"))
    (versions / "0002_b.py").write_text(
        MIGRATION.format(revision="migrated_0002", before='"migrated_0001"', table="second")
    )
    monkeypatch.setattr(module, "_SERVICES", tmp_path)
    return versions


async def _nothing(_: str) -> None:
    return


async def test_migrations_run_once_though_two_begin_together(postgres: Server, toy: Path) -> None:
    owner, service = postgres.urls("blank", _nothing)
    opened = Database(service)
    with pytest.raises(RuntimeError, match="run migrated migrate"):
        await opened.require_revision("migrated")
    await asyncio.gather(module.migrate(owner, "migrated"), module.migrate(owner, "migrated"))
    await opened.require_revision("migrated")
    async with opened.transaction() as session:
        await session.execute(sa.text("SELECT * FROM first, second"))
    await opened.close()


async def test_a_failed_migration_leaves_what_came_before(postgres: Server, toy: Path) -> None:
    owner, service = postgres.urls("blank", _nothing)
    (toy / "0003_c.py").write_text(
        MIGRATION.format(revision="migrated_0003", before='"migrated_0002"', table="third") + '    op.execute("oops")\n'
    )
    with pytest.raises(sa.exc.ProgrammingError):
        await module.migrate(owner, "migrated")
    (toy / "0003_c.py").unlink()
    opened = Database(service)
    await opened.require_revision("migrated")
    await opened.close()


async def test_the_service_role_changes_no_schema(database: Database) -> None:
    with pytest.raises(sa.exc.ProgrammingError):
        async with database.transaction() as session:
            await session.execute(sa.text("CREATE TABLE mine (id text)"))


async def test_an_append_only_table_takes_rows_and_keeps_them(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(sa.text("INSERT INTO journal VALUES ('a')"))
    for verb in ("UPDATE journal SET id = 'b'", "DELETE FROM journal", "TRUNCATE journal"):
        with pytest.raises(sa.exc.ProgrammingError):
            async with database.transaction() as session:
                await session.execute(sa.text(verb))


async def test_a_transaction_commits_whole_or_not_at_all(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  what rolls back is the block
        async with database.transaction() as session:
            session.add(Thing(id="a", create_time=START))
            await session.flush()
            raise ZeroDivisionError
    async with database.transaction() as session:
        assert (await session.scalars(sa.select(Thing))).all() == []


async def test_times_come_back_in_utc(database: Database) -> None:
    async with database.transaction() as session:
        session.add(Thing(id="a", create_time=START))
    async with database.transaction() as session:
        found = (await session.scalars(sa.select(Thing.create_time))).one()
    assert found == START
    assert found.utcoffset() is not None


async def test_a_statement_has_an_end(database: Database) -> None:
    async with database.transaction() as session:
        shown = [
            (await session.execute(sa.text(f"SHOW {name}"))).scalar() for name in ("statement_timeout", "lock_timeout")
        ]
    assert shown == ["10s", "5s"]


async def test_no_database_is_unavailable(tmp_path: Path) -> None:
    opened = Database(f"postgresql+asyncpg://nobody:x@/nothing?host={tmp_path}")
    with pytest.raises(errors.Failure) as caught:
        await opened.ping()
    assert caught.value.kind is errors.PEER_UNAVAILABLE
    await opened.close()


async def test_a_lost_connection_is_unavailable_and_the_next_call_recovers(database: Database) -> None:
    with pytest.raises(errors.Failure) as caught:
        async with database.transaction() as session:
            await session.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert caught.value.kind is errors.PEER_UNAVAILABLE
    await database.ping()


_OTHERS = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = user AND pid <> pg_backend_pid()"
)


async def test_who_comes_after_a_restart_is_not_lent_the_connections_from_before(database: Database) -> None:
    ends: list[asyncio.Event] = []

    async def use(together: asyncio.Barrier) -> None:
        async with database.transaction() as session:
            wire: Any = (await (await session.connection()).get_raw_connection()).driver_connection
            ends.append(end := asyncio.Event())
            wire.add_termination_listener(lambda _: end.set())
            await session.execute(sa.text("SELECT 1"))
            await together.wait()

    before, after = asyncio.Barrier(3), asyncio.Barrier(3)
    await asyncio.gather(*(use(before) for _ in range(3)))
    async with database.autocommit() as session:
        assert (await session.execute(sa.text(_OTHERS))).scalar() == 3
    await asyncio.gather(*(end.wait() for end in ends))
    await asyncio.gather(*(use(after) for _ in range(3)))


async def test_the_runtimes_tables_are_what_its_migrations_make(postgres: Server) -> None:
    owner, _ = postgres.urls("toy", toy_database.build)
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy.ext.asyncio import create_async_engine

    own = {"jobs", "job_pools", "job_shares", "requests"}

    def differences(connection: sa.Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _: kind != "table" or name in own}
        )
        wanted = sa.MetaData()
        for name in own:
            Base.metadata.tables[name].to_metadata(wanted)
        return list(compare_metadata(context, wanted))

    engine = create_async_engine(owner)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_a_fault_of_the_block_is_not_taken_for_one_of_the_database(database: Database) -> None:
    with pytest.raises(FileNotFoundError):
        async with database.transaction():
            Path("/nowhere/at/all").read_bytes()


async def test_a_cancelled_caller_leaves_no_lock_and_no_dead_connection(database: Database) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    opened = Database(url, pool_size=1)

    async def hold() -> None:
        async with opened.transaction() as session:
            session.add(Thing(id="a", create_time=START))
            await session.flush()
            await session.execute(sa.text("SELECT pg_sleep(60)"))

    for _ in range(3):
        task = asyncio.create_task(hold())
        await toy_database.until_sleeping(database)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with opened.transaction() as session:
            session.add(Thing(id="a", create_time=START))
            await session.flush()
            await session.rollback()
    await opened.close()


async def test_a_lock_that_others_hold_too_long_is_unavailable(database: Database) -> None:
    async with database.transaction() as holder:
        await holder.execute(sa.text("LOCK TABLE things IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(errors.Failure) as caught:  # noqa: PT012  the refusal ends the block
            async with database.transaction() as session:
                await session.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))
                await session.execute(sa.select(Thing))
    assert caught.value.kind is errors.PEER_UNAVAILABLE
    assert caught.value.metadata == {"service": "database"}

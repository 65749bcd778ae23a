"""The toy's database: the runtime's own tables and one of things."""

import datetime

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.runtime import database, idempotency, jobs
from services.runtime.database import Time
from tests.support.waiting import until


class ToyBase(DeclarativeBase):
    """A base of its own: the gates over the suite's tables must not see a toy."""


class Thing(ToyBase):
    """A row of no meaning."""

    __tablename__ = "things"
    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    create_time: Mapped[datetime.datetime] = mapped_column(Time)
    owner: Mapped[str] = mapped_column(sa.Text, server_default="")


async def build(owner_url: str) -> None:
    """Make the tables, as a migration would."""
    engine = create_async_engine(owner_url)
    async with engine.begin() as connection:
        await connection.run_sync(_tables)
    await engine.dispose()


def _tables(connection: sa.Connection) -> None:
    op = Operations(MigrationContext.configure(connection))
    jobs.create_tables(op)
    idempotency.create_tables(op)
    ToyBase.metadata.create_all(connection)
    op.create_table("journal", sa.Column("id", sa.Text, primary_key=True))
    database.append_only(op, "journal")


async def until_sleeping(opened: database.Database) -> None:
    """Wait until a session of this database runs pg_sleep."""
    asked = (
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active' AND pid <> pg_backend_pid()"
    )

    async def sleeps() -> bool:
        async with opened.transaction() as session:
            return (await session.execute(sa.text(f"{asked} AND datname = current_database()"))).first() is not None

    await until(sleeps, pause=0.01)

"""PostgreSQL: the tables' base class, transactions, and migrations under an advisory lock."""

import asyncio
import collections
import contextlib
import functools
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import asyncpg as driver
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, MappedColumn, mapped_column

from services.runtime import errors, telemetry, tracing
from services.runtime.config import StartFault

Time = sa.DateTime(timezone=True)
"""Column type of a moment: aware, UTC."""
_SERVICES = Path(__file__).parent.parent
_LOCK_WAIT = "30s"
_PASSING = ("55P03", "57014", "40001", "40P01")  # lock or statement timeout, lost race, deadlock
_FAULTS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_WAIT_SECONDS = 5
_SESSION = {
    "timezone": "UTC",
    "statement_timeout": "10000",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "30000",
}
log = telemetry.logger(__name__)


class Base(DeclarativeBase):
    """The one base of all tables; a table's name is unique across the services."""


def column(element: int, *args: Any, **options: Any) -> MappedColumn[Any]:
    """Declare a column that names the data element it holds. The rest is as in `mapped_column`."""
    return mapped_column(*args, info={"element": element}, **options)


def partial_index(name: str, *columns: str, where: str = "") -> sa.Index:
    """Declare an index of the rows without an end_time, and more narrowly of those that fulfill `where`.

    Whoever reads by it asks for `end_time IS NULL` too; whoever looks for one row by its id or key asks for a state
    instead. Else the planner, as long as its statistics know of few open rows, reads the whole index for each lookup.
    """
    return sa.Index(
        name, *columns, postgresql_where=sa.text(f"{where} AND end_time IS NULL" if where else "end_time IS NULL")
    )


class Database:
    """One database by the URL of the service role (postgresql+asyncpg). Every wait in it has an end."""

    def __init__(self, url: str, pool_size: int = 10) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=_WAIT_SECONDS,
            pool_recycle=1800,
            hide_parameters=True,  # an error's text must not repeat what somebody sent
            connect_args={"timeout": _WAIT_SECONDS, "server_settings": _SESSION},
        )
        tracing.watch_sql(self.engine.sync_engine)
        sa.event.listen(self.engine.sync_engine, "checkout", _living)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._url = self.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._free: list[Any] = []
        self._places = asyncio.Semaphore(pool_size)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open a READ COMMITTED transaction; it commits at the end of the block, or rolls back when that raises.

        Raises PEER_UNAVAILABLE when the database cannot be reached, was lost on the way, or others held a lock for too
        long: the same call may succeed in a moment.
        """
        try:
            async with self._sessions() as session, session.begin():
                await _connected(session)
                yield session
        except sa.exc.DBAPIError as fault:
            lost = fault.connection_invalidated or isinstance(fault, sa.exc.InterfaceError)
            if lost or getattr(fault.orig, "sqlstate", "") in _PASSING:
                log.warning("database_refused", error=fault.orig)
                raise errors.PEER_UNAVAILABLE(service="database") from fault
            raise

    @contextlib.asynccontextmanager
    async def driver_transaction(self) -> AsyncIterator["DriverTransaction"]:
        """Open a transaction as `transaction` does, on the driver itself: for the statements of hot paths.

        It costs a fifth of a session's CPU. Raises PEER_UNAVAILABLE like `transaction`.
        """
        async with self._lent() as connection:
            quick = DriverTransaction(connection)
            try:
                await connection.execute("BEGIN")
                yield quick
            except BaseException:
                await asyncio.shield(_rolled_back(connection))
                raise
            await connection.execute("COMMIT")
        for act in quick.after_commit:
            act()

    @contextlib.asynccontextmanager
    async def autocommit(self) -> AsyncIterator["DriverTransaction"]:
        """Lend a connection without a transaction around it: each statement sees what is committed then."""
        async with self._lent() as connection:
            yield DriverTransaction(connection)

    @contextlib.asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        """A connection of the driver, the one that was used last. Raises PEER_UNAVAILABLE: there is none, or it is
        lost, or others held a lock for too long."""
        connection = await self._taken()
        try:
            yield connection
        except _FAULTS as fault:
            if isinstance(fault, asyncpg.InternalClientError):
                connection.terminate()  # what a server that ends says in between confuses the driver
            if connection.is_closed() or getattr(fault, "sqlstate", "") in _PASSING:
                log.warning("database_refused", error=fault)
                raise errors.PEER_UNAVAILABLE(service="database") from fault
            raise
        finally:
            self._places.release()
            if not connection.is_closed():
                if connection.is_in_transaction():
                    connection.terminate()
                else:
                    self._free.append(connection)

    async def _taken(self) -> Any:
        try:
            async with asyncio.timeout(_WAIT_SECONDS if self._places.locked() else None):
                await self._places.acquire()
        except TimeoutError as fault:
            raise errors.PEER_UNAVAILABLE(service="database") from fault
        while self._free:
            if not (connection := self._free.pop()).is_closed():
                return connection
        try:
            connection = await asyncpg.connect(self._url, timeout=_WAIT_SECONDS, server_settings=_SESSION)
            await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
        except BaseException as fault:
            self._places.release()
            if not isinstance(fault, _FAULTS):
                raise
            log.warning("database_unreachable", error=fault)
            raise errors.PEER_UNAVAILABLE(service="database") from fault
        return connection

    async def ping(self) -> None:
        """Ask the database for a sign of life; raises within 5 s when there is none."""
        async with asyncio.timeout(5), self.transaction() as session:
            await session.execute(sa.text("SELECT 1"))

    async def require_revision(self, service: str) -> None:
        """Raise StartFault unless the database stands at the newest migration of this service's code."""
        async with self.engine.connect() as connection:
            found = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
        wanted = ScriptDirectory.from_config(_config(service)).get_current_head()
        if found != wanted:
            raise StartFault(f"the database is at {found}, the code needs {wanted}: run {service} migrate")

    async def close(self) -> None:
        """Close all connections."""
        while self._free:
            await self._free.pop().close()
        await self.engine.dispose()


class Rows(list[Any]):
    """The rows of a statement, tuples with names, asked as SQLAlchemy's results are."""

    def first(self) -> Any:
        """Return the first row, None without one."""
        return self[0] if self else None

    def one(self) -> Any:
        """Return the only row. Raises ValueError when there is not exactly one."""
        (row,) = self
        return row

    def all(self) -> "Rows":
        """Return all rows."""
        return self

    def scalar(self) -> Any:
        """Return the first column of the first row, None without one."""
        return self[0][0] if self else None


class DriverTransaction:
    """What stands in a session's place on a hot path. `after_commit` is called when the transaction has committed.

    It runs only statements that a module keeps, since each is compiled once and remembered for ever.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.after_commit: list[Callable[[], object]] = []

    async def execute(self, statement: sa.Executable, values: Mapping[str, Any] | None = None) -> Rows:
        """Run a statement with named values; returns its rows. JSONB comes and goes as Python has it."""
        compiled = _compiled(statement)
        given = {**compiled.fixed, **(values or {})}
        with tracing.statement(compiled.text):
            records = await self._connection.fetch(compiled.text, *[given[name] for name in compiled.names])
        if not records:
            return Rows()
        if compiled.row is None:
            compiled.row = collections.namedtuple("Row", records[0].keys(), rename=True)._make  # type: ignore[attr-defined,misc]
        return Rows(map(compiled.row, records))


Session = AsyncSession | DriverTransaction
"""A transaction that somebody has opened, in either way."""


class _Compiled:
    """A statement as the driver has it: numbered parameters, their names in order, values that are always the same."""

    def __init__(self, statement: Any) -> None:
        compiled = statement.compile(dialect=driver.dialect())
        self.text: str = compiled.string
        self.names: list[str] = compiled.positiontup or []
        self.fixed: dict[str, Any] = {name: value for name, value in compiled.params.items() if value is not None}
        self.row: Any = None


_compiled = functools.cache(_Compiled)


def _living(connection: Any, *_: object) -> None:
    """Lend no connection that PostgreSQL has closed meanwhile: the pool makes them all anew."""
    if connection.driver_connection.is_closed():
        raise sa.exc.InvalidatePoolError


async def _rolled_back(connection: Any) -> None:
    with contextlib.suppress(*_FAULTS):
        if not connection.is_closed():
            await connection.execute("ROLLBACK")


async def _connected(session: AsyncSession) -> None:
    """Take a connection now, so that a fault of the network is told from one of the block."""
    try:
        await session.connection()
    except (OSError, asyncpg.PostgresError, sa.exc.SQLAlchemyError) as fault:
        # A server that starts or stops answers in asyncpg's own words, which SQLAlchemy passes on as they are.
        log.warning("database_unreachable", error=fault)
        raise errors.PEER_UNAVAILABLE(service="database") from fault


async def migrate(owner_url: str, service: str) -> None:
    """Bring the database to the newest revision of `service`. Concurrent runs wait for each other, up to 30 s.

    Within it a lock is waited for at most 4 s and a statement runs at most 30 s, so that a migration never stands in
    the way of the running service for long.
    """
    engine = create_async_engine(owner_url, poolclass=sa.NullPool, hide_parameters=True, connect_args={"timeout": 5})
    try:
        async with engine.connect() as connection:
            await _migrate(connection, service)
    finally:
        await engine.dispose()


async def _migrate(connection: AsyncConnection, service: str) -> None:
    number = int.from_bytes(hashlib.sha256(f"migrate {service}".encode()).digest()[:8], signed=True)
    await connection.execute(sa.text(f"SET statement_timeout = '{_LOCK_WAIT}'"))
    await connection.execute(sa.text("SELECT pg_advisory_lock(:number)"), {"number": number})
    await connection.execute(sa.text("SET lock_timeout = '4s'"))
    await connection.commit()
    await connection.run_sync(lambda sync: command.upgrade(_config(service, sync), "head"))
    await connection.commit()


def _config(service: str, connection: sa.Connection | None = None) -> Config:
    """Alembic's settings: our one environment, the service's own versions."""
    config = Config()
    config.set_main_option("script_location", str(_SERVICES / "runtime" / "migrations"))
    config.set_main_option("version_locations", str(_SERVICES / service / "migrations" / "versions"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    config.attributes["service"] = service
    return config


def tables_of(service: str) -> list[sa.Table]:
    """Return the tables of a service that are imported, with those of the runtime."""
    homes = (f"services.{service}.", "services.runtime.")
    return [
        mapper.local_table
        for mapper in Base.registry.mappers
        if mapper.class_.__module__.startswith(homes) and isinstance(mapper.local_table, sa.Table)
    ]


def create(op: Any, *rows: type[Base]) -> None:
    """In a migration: make the tables of these rows as they are declared. For the runtime's own tables."""
    for row in rows:
        Base.metadata.tables[row.__tablename__].create(op.get_bind())


def index_anew(op: Any, *names: str) -> None:
    """In a migration: make indexes anew as they are declared now."""
    for index in (index for table in Base.metadata.tables.values() for index in table.indexes):
        if index.name in names:
            index.drop(op.get_bind())
            index.create(op.get_bind())


def append_only(op: Any, table: str) -> None:
    """In a migration: leave everyone but the owner only SELECT and INSERT on a table."""
    connection = op.get_bind()
    grantees = connection.execute(
        sa.text(
            "SELECT DISTINCT grantee FROM information_schema.role_table_grants "
            "WHERE table_schema = current_schema() AND table_name = :table AND grantee <> current_user"
        ),
        {"table": table},
    ).scalars()
    quote = connection.dialect.identifier_preparer.quote
    for grantee in [*grantees]:
        role = grantee if grantee == "PUBLIC" else quote(grantee)
        op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON {quote(table)} FROM {role}")

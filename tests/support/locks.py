"""Holds a process at one exact point by holding the lock that its next statement needs: a breakpoint in PostgreSQL."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from deploy.local.suite import Suite
from tests.support.waiting import until

WAITING = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = $1"


class Locks:
    """Takes locks in one database with the owner's role; each `hold` has a connection of its own."""

    def __init__(self, suite: Suite, database: str) -> None:
        self._url = suite.database_urls[database][0].replace("+asyncpg", "")
        self._database, self._admin_url = database, suite.postgres.admin_url.replace("+asyncpg", "")

    @contextlib.asynccontextmanager
    async def hold(self, statement: str, *values: object) -> AsyncIterator[asyncpg.Connection]:
        """Hold what `statement` locks until the block ends; the connection is open in its transaction."""
        connection = await asyncpg.connect(self._url)
        try:
            async with connection.transaction():
                await connection.execute(statement, *values) if not values else await connection.fetch(
                    statement, *values
                )
                yield connection
        finally:
            await connection.close()

    async def until_waiting(self, seconds: float = 60) -> None:
        """Wait until some process stands before a lock. Raises TimeoutError."""
        connection = await asyncpg.connect(self._admin_url)  # nobody else sees what others wait for
        try:
            await until(lambda: connection.fetchval(WAITING, self._database), seconds, pause=0.01)
        finally:
            await connection.close()

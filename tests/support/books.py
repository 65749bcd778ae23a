"""What the databases of a running suite hold, asked with the owner's role: to prove that nothing was stored or lost."""

import asyncpg

from deploy.local.suite import Suite

COUNTED = {
    "generation": ("videos", "files", "requests"),
    "billing": ("holds", "journals", "entries"),
}


class Books:
    """Opens one connection per database; read-only use."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._open: dict[str, asyncpg.Connection] = {}

    async def rows(self, database: str, query: str, *values: object) -> list[asyncpg.Record]:
        """Answer the rows of a query on one database."""
        if database not in self._open:
            url = self._suite.database_urls[database][0].replace("+asyncpg", "")
            self._open[database] = await asyncpg.connect(url)
        return await self._open[database].fetch(query, *values)

    async def value(self, database: str, query: str, *values: object) -> object:
        """Answer the first column of the first row."""
        found = await self.rows(database, query, *values)
        return found[0][0] if found else None

    async def counts(self) -> dict[str, int]:
        """How many rows each table has that a refused call must leave alone."""
        return {
            f"{database}.{table}": await self.value(database, f"SELECT count(*) FROM {table}")  # noqa: S608  constants
            for database, tables in COUNTED.items()
            for table in tables
        }

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._open.values():
            await connection.close()

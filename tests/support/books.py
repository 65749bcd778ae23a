"""What the databases of a running suite hold, asked with the owner's role: to prove that nothing was stored or lost."""

from typing import Any

import asyncpg

from deploy.local.suite import Suite

OWNED = (
    ("generation", "videos", "project"),
    ("generation", "files", "project"),
    ("generation", "requests", "scope"),
    ("auth", "keys", "project"),
    ("billing", "holds", "organization"),
    ("billing", "journals", "organization"),
    ("billing", "entries", "organization"),
)
WALLET = "SELECT available, held, open_holds FROM wallets WHERE organization = $1"


class Books:
    """Opens one connection per database; read-only use."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self._open: dict[str, asyncpg.Connection] = {}

    async def rows(self, database: str, query: str, *values: object) -> list[asyncpg.Record]:
        """Return the rows of a query on one database."""
        if database not in self._open:
            url = self.suite.database_urls[database][0].replace("+asyncpg", "")
            self._open[database] = await asyncpg.connect(url)
        return await self._open[database].fetch(query, *values)

    async def value(self, database: str, query: str, *values: object) -> object:
        """Return the first column of the first row."""
        found = await self.rows(database, query, *values)
        return found[0][0] if found else None

    async def owned(self, made: dict[str, Any]) -> dict[str, int]:
        """How many rows one customer has of what a refused call must leave alone, and what their wallet holds.

        `made` is the answer of Register. What other customers' videos do in the meantime does not count.
        """
        organization = made["organization"]["id"]
        found = {}
        for database, table, column in OWNED:
            owner = organization if column == "organization" else made["project"]["id"]
            count = f"SELECT count(*) FROM {table} WHERE {column} = $1"  # noqa: S608  constants
            found[f"{database}.{table}"] = (await self.rows(database, count, owner))[0][0]
        wallets = await self.rows("billing", WALLET, organization)
        return found | (dict(wallets[0]) if wallets else dict.fromkeys(("available", "held", "open_holds"), 0))

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._open.values():
            await connection.close()

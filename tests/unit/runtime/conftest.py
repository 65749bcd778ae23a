"""The toy's database for the tests of the runtime."""

from collections.abc import AsyncIterator

import pytest

from services.runtime.database import Database
from tests.support import toy_database
from tests.support.database import Server


@pytest.fixture
async def database(postgres: Server) -> AsyncIterator[Database]:
    """A fresh database of the toy."""
    async with postgres.database("toy", toy_database.build) as opened:
        yield opened

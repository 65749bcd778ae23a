"""Fixtures of the auth service."""

import pytest

from tests.support import auth as support


@pytest.fixture
async def database(postgres):
    """A fresh database of the service, in the service's role."""
    async with postgres.database("auth") as opened:
        yield opened


@pytest.fixture
async def auth(database, clock, tmp_path):
    """The whole service under the default profile."""
    async with support.house(database, tmp_path, clock) as running:
        yield running

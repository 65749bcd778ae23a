"""Fixtures of the auth service."""

import pytest

from tests.support import auth as support


@pytest.fixture
async def database(postgres):
    """A fresh database of the service, in the service's role."""
    async with postgres.database("auth") as opened:
        yield opened


@pytest.fixture
async def auth(profile, database, clock, tmp_path):
    """The whole service, under the profile of the test."""
    async with support.house(database, tmp_path, clock, profile) as running:
        yield running

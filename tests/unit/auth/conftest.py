"""Fixtures of the auth service."""

import pytest

from services.runtime import profile as profiles
from tests.support import auth as support


@pytest.fixture
async def database(postgres):
    """A fresh database of the service, in the service's role."""
    async with postgres.database("auth") as opened:
        yield opened


@pytest.fixture
async def auth(request, database, clock, tmp_path):
    """The whole service, under the default profile unless the test is parametrised with the name of another."""
    profile = profiles.load(getattr(request, "param", "default"))
    async with support.house(database, tmp_path, clock, profile) as running:
        yield running

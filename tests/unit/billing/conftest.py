"""Fixtures of the billing service."""

import pytest

from services.privacy.__main__ import registrations
from services.privacy.config import PrivacySettings
from tests.support import rpc
from tests.support.auth_server import AuthServer


@pytest.fixture
async def privacy(postgres, clock):
    """A running privacy, which keeps the audit log."""
    async with postgres.database("privacy") as database:
        settings = rpc.settings("privacy", PrivacySettings)
        async with rpc.serve("privacy", registrations(settings, database, clock), clock=clock) as served:
            yield served


@pytest.fixture
async def auth():
    """A running auth, which gives out the keys of caller tokens."""
    server = AuthServer()
    await server.start()
    yield server
    await server.stop()

"""Fixtures of the privacy service."""

import pytest

from services.privacy.__main__ import registrations
from services.privacy.config import PrivacySettings
from services.privacy.policies import first
from tests.support import rpc
from tests.support.auth_server import AuthServer
from tests.support.profiles import used


@pytest.fixture
async def database(postgres):
    """A fresh database of the service, in the service's role."""
    async with postgres.database("privacy") as opened:
        yield opened


@pytest.fixture
async def served(database, clock, profile):
    """The service with its first texts published; AcceptPolicy does not wait for auth here."""
    settings = rpc.settings("privacy", PrivacySettings, acceptance_wait_seconds=0, profile=used(profile).name)
    await first.publish_all(database, settings.policy_texts, clock)
    async with rpc.serve("privacy", registrations(settings, database, clock), clock=clock) as running:
        yield running


@pytest.fixture
async def auth():
    """A running auth."""
    server = AuthServer()
    await server.start()
    yield server
    await server.stop()

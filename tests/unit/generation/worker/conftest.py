"""The studio of this folder's tests."""

import contextlib

import pytest

from services.generation.files.objects import open_store
from services.generation.triton import client
from tests.support import tls
from tests.support.profiles import used
from tests.unit.generation.worker.studio import Studio


@pytest.fixture
def open_studio(postgres, clock, tmp_path, profile):
    """Opens a studio at the Triton of an address, to which it shows these certificates."""

    @contextlib.asynccontextmanager
    async def opened(address, certificates):
        server = client.connect(address, certificates)
        try:
            async with postgres.database("generation") as database:
                objects = open_store(str(tmp_path / "objects"))
                yield Studio(database, clock, server, objects, used(profile))
        finally:
            await server.close()

    return opened


@pytest.fixture
async def studio(open_studio, triton_server):
    """A studio with the shared Triton."""
    async with open_studio(triton_server.address, triton_server.tls) as opened:
        yield opened


@pytest.fixture
async def fresh_studio(open_studio, fresh_triton):
    """A studio with a Triton of the test's own, to be harmed."""
    async with open_studio(fresh_triton.address, fresh_triton.tls) as opened:
        yield opened


@pytest.fixture
async def lone_studio(open_studio):
    """A studio without a Triton."""
    async with open_studio("127.0.0.1:9", tls.triton()) as opened:
        yield opened


@pytest.fixture
def studio_rules(profile):
    """The rules of the test's profile."""
    return profile

"""The real Triton for the services of generation that need one."""

import pytest

from services.generation.triton import client
from tests.support import triton


@pytest.fixture(scope="session")
def triton_server(tmp_path_factory):
    """One Triton for all tests that leave it whole."""
    with triton.running(tmp_path_factory.mktemp("triton")) as server:
        yield server


@pytest.fixture
def fresh_triton(tmp_path):
    """A Triton of the test's own, to be harmed."""
    with triton.running(tmp_path / "home") as server:
        yield server


@pytest.fixture
async def connection(triton_server):
    """A client of the shared Triton."""
    connected = client.connect(triton_server.address, triton_server.tls)
    yield connected
    await connected.close()

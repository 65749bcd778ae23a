import pytest

from tests.support import generation, uploads


@pytest.fixture
async def house(postgres, clock, tmp_path, profile):
    async with generation.house(postgres, clock, tmp_path, profile) as opened:
        yield opened


@pytest.fixture
async def gate(house):
    async with uploads.gate(house) as opened:
        yield opened


@pytest.fixture
async def edge(gate):
    """The edge, on behalf of the customer."""
    async with gate.client() as client:
        client.headers.update(gate.customer())
        yield client

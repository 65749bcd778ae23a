import pytest

from tests.support import generation


@pytest.fixture
async def house(postgres, clock, tmp_path):
    async with generation.house(postgres, clock, tmp_path) as opened:
        yield opened

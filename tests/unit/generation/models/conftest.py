import pytest

from tests.support import generation


@pytest.fixture
async def house(postgres, clock, tmp_path, profile):
    async with generation.house(postgres, clock, tmp_path, profile) as opened:
        yield opened

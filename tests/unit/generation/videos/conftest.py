import pytest

from services.generation.videos import queue
from tests.support import generation


@pytest.fixture
async def house(postgres, clock, tmp_path, monkeypatch, profile):
    """Generation, without its short memory of a short queue: a test's next look may come sooner than that."""
    monkeypatch.setattr(queue, "SHORT_SECONDS", 0.0)
    async with generation.house(postgres, clock, tmp_path, profile) as opened:
        yield opened

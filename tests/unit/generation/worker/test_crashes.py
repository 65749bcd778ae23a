"""Videos that kill: only they are blamed, their second crash is final, and their neighbors are made all the same."""

import asyncio
import contextlib

import pytest

from services.generation.videos import store as videos
from tests.support import poison, triton, waiting
from tests.support.waiting import until
from tests.unit.generation.worker.studio import LONG, SMALL, Studio

MEDIUM = {**SMALL, "duration_seconds": 10}
OUTCOMES = {"poisoned": ("FAILED", "INFRASTRUCTURE_ERROR", "GENERATION_FAILED"), "made": ("SUCCEEDED",) * 2 + (None,)}


@pytest.fixture(params=[1, 2])
def instances(request):
    """A server with one model process, and one with two."""
    return request.param


@pytest.fixture
def server(tmp_path, instances):
    with triton.running(tmp_path / "home", poison.repository(tmp_path / "models", instances)) as running:
        yield running


@pytest.fixture
async def weak_studio(open_studio, server):
    """A studio whose Triton dies of poison."""
    async with open_studio(server.address, server.tls) as opened:
        yield opened


@contextlib.asynccontextmanager
async def working(studio: Studio, server: triton.Server, slots: int):
    """A worker, and somebody who starts the server again when it has died, as the supervisor does."""
    runner = studio.runner(concurrency=slots, lease_seconds=3600)

    async def tend():
        while True:
            studio.clock.advance(0.1)
            if not server.process.alive:
                server.process.launch()
            await asyncio.sleep(waiting.PAUSE_SECONDS)

    tasks = [asyncio.create_task(runner.run()), asyncio.create_task(tend())]
    try:
        yield
    finally:
        await runner.drain(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ends(studio: Studio, *ids: str) -> list[tuple]:
    """How the videos end: state, outcome, reason."""
    found = [await studio.until_ended(id_) for id_ in ids]
    return [(video.state, video.outcome, video.error_reason) for video in found]


async def tries(studio: Studio, video_id: str) -> int:
    """How many attempts are held against a video."""
    job = await studio.job(videos.GENERATE, video_id)
    assert job is not None
    return job.attempt - job.excused


@pytest.mark.parametrize("words", [poison.MODEL, poison.SERVER])
async def test_a_poison_dies_of_its_second_crash_and_its_neighbors_live(weak_studio, server, instances, words):
    studio = weak_studio
    neighbors = [await studio.order(**MEDIUM)]
    poisoned = await studio.order(prompt=words)
    neighbors += [await studio.order(), await studio.order()]
    async with working(studio, server, instances):
        assert await ends(studio, poisoned) == [OUTCOMES["poisoned"]]
        assert await ends(studio, *neighbors) == [OUTCOMES["made"]] * 3
    excused = instances == 2 and words == poison.SERVER
    assert await tries(studio, poisoned) == (1 if excused else 2)
    assert [await tries(studio, video) for video in neighbors] == [1, 1, 1]


async def test_a_server_that_is_killed_blames_nobody_of_several(weak_studio, server, instances):
    if instances == 1:
        pytest.skip("one at a time is alone")
    studio = weak_studio
    both = [await studio.order(**LONG), await studio.order(**LONG)]
    async with working(studio, server, instances):
        for video in both:
            await studio.until_generating(video)
        server.process.kill()
        await until(lambda: _excused(studio, both))


async def _excused(studio: Studio, ids: list[str]) -> bool:
    jobs = [await studio.job(videos.GENERATE, video) for video in ids]
    return all(job is not None and job.payload.get("crashes") == 1 and job.excused for job in jobs)

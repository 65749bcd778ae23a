"""Who competes with the worker: the owner who cancels, another worker, the sweep, the end of the process."""

import asyncio
import contextlib
import datetime
import time

import pytest
import sqlalchemy as sa

from services.generation.files import domain as files_domain
from services.generation.files import store as files
from services.generation.videos import store as videos
from services.runtime import jobs
from tests.support.pace import in_proportion
from tests.unit.generation.worker.studio import GENERATE, LONG, Studio

OUTPUTS = sa.text("LOCK TABLE files IN SHARE MODE")
# Takes seconds, not many: for what must be made again from its start.
MEDIUM = {"width": 854, "height": 480, "frame_rate": 24, "duration_seconds": 4}


@contextlib.asynccontextmanager
async def working(studio: Studio, **options):
    """A worker that runs; it is drained at the end."""
    worker = studio.runner(**options)
    running = asyncio.create_task(worker.run())
    yield worker
    await worker.drain(0)
    await asyncio.wait_for(running, 60)


@contextlib.asynccontextmanager
async def before_publishing(studio: Studio):
    """A video whose film is made and labeled, while the worker waits to write the file's row until the block ends."""
    async with studio.database.transaction() as session:
        await session.execute(OUTPUTS)
        video_id = await studio.order()
        worker = asyncio.create_task(studio.runner().run_due())
        await studio.until_waiting()
        yield video_id
    await worker


async def take_over(studio: Studio, video_id: str, *, started: bool) -> None:
    """Another worker gets the job after the lease has ended, and perhaps starts the video."""
    studio.clock.advance(31)
    async with studio.database.transaction() as session:
        await jobs.promote(session, [GENERATE], studio.clock)
        taken = await jobs.claim(session, [GENERATE], "other", studio.clock, 30)
    assert taken is not None
    if started:
        async with studio.database.transaction() as session:
            assert await videos.start(session, video_id, studio.clock.now(), taken.attempt)


async def state(studio: Studio, video_id: str):
    """(video, job, output, settle job) by their states."""
    settle = await studio.job(videos.SETTLE, video_id)
    return (
        (await studio.video(video_id)).state,
        (await studio.job(videos.GENERATE, video_id)).state,
        [file.state for file in await studio.outputs(video_id)],
        settle.state if settle else None,
    )


@pytest.mark.parametrize("heard", ["progress", "renewal"])
async def test_a_cancel_stops_the_model_and_the_slot_is_free_at_once(studio, heard):
    async with working(studio) as worker:
        cancelled = await studio.order(**LONG)
        await studio.until_generating(cancelled)
        next_one = await studio.order()
        await studio.cancel(cancelled)
        began = time.monotonic()
        if heard == "progress":
            studio.clock.advance(1)
        else:
            await worker.renew_leases()
        assert (await studio.until_ended(next_one)).state == "SUCCEEDED"
        assert time.monotonic() - began < in_proportion(5), "the long one would have taken many more"
        assert await state(studio, cancelled) == ("CANCELLED", "DONE", [], "QUEUED")
        assert (await studio.video(cancelled)).outcome == "CANCELLED_RUNNING"


async def test_what_is_cancelled_while_it_waits_never_starts(studio):
    video_id = await studio.order()
    await studio.cancel(video_id)
    assert await studio.runner().run_due() == 0
    assert await state(studio, video_id) == ("CANCELLED", "CANCELLED", [], "QUEUED")


async def test_what_was_ended_between_claim_and_start_is_not_made(studio):
    video_id = await studio.order()
    async with studio.database.transaction() as session:
        job = await jobs.claim(session, [GENERATE], "worker", studio.clock, 30)
    await studio.cancel(video_id)
    await studio.maker().generate(job)
    assert (await studio.video(video_id)).attempt == 0


@pytest.mark.parametrize("taken", [True, False], ids=["taken over", "over"])
async def test_who_lost_the_lease_before_the_start_starts_nothing(studio, taken):
    """Shown as RUNNING the video would cost its price when it is cancelled, and have no start deadline any more."""
    video_id = await studio.order()
    async with studio.database.transaction() as session:
        frozen = await jobs.claim(session, [GENERATE], "frozen", studio.clock, 30)
    if taken:
        await take_over(studio, video_id, started=False)
    else:
        studio.clock.advance(31)
    with pytest.raises(jobs.LeaseLost):
        await studio.maker().generate(frozen)
    video = await studio.video(video_id)
    assert (video.state, video.attempt) == ("QUEUED", 0)
    assert (await studio.job(videos.START_DEADLINE, video_id)).end_time is None


async def test_a_video_past_its_start_deadline_is_not_started(studio):
    video_id = await studio.order()
    studio.clock.advance(3600)
    await studio.runner().run_due()
    assert await state(studio, video_id) == ("QUEUED", "DONE", [], None)
    assert (await studio.job(videos.START_DEADLINE, video_id)).end_time is None, "that job ends it"


async def test_a_job_without_a_video_is_done(studio):
    async with studio.database.transaction() as session:
        await jobs.enqueue(session, GENERATE, "generate:vid_gone", {"video": "vid_gone"}, studio.clock.now())
    assert await studio.runner().run_due() == 1


async def test_a_cancel_before_the_one_update_publishes_nothing(studio):
    async with before_publishing(studio) as video_id:
        await studio.cancel(video_id)
    assert await state(studio, video_id) == ("CANCELLED", "DONE", ["STAGING"], "QUEUED")
    await nothing_is_kept(studio, video_id)


@pytest.mark.parametrize("started", [True, False], ids=["the other has started", "the other has only claimed"])
async def test_a_lease_that_was_lost_before_the_one_update_publishes_nothing(studio, started):
    async with before_publishing(studio) as video_id:
        await take_over(studio, video_id, started=started)
    assert await state(studio, video_id) == ("RUNNING", "RUNNING", ["STAGING"], None)
    assert (await studio.job(videos.GENERATE, video_id)).worker == "other"
    assert (await studio.video(video_id)).attempt == (2 if started else 1)
    await nothing_is_kept(studio, video_id)


async def nothing_is_kept(studio: Studio, video_id: str) -> None:
    [staged] = await studio.outputs(video_id)
    with pytest.raises(FileNotFoundError):
        await studio.content(staged)


async def test_a_file_that_was_swept_meanwhile_is_not_published_and_made_anew(studio):
    async with before_publishing(studio) as video_id:
        sweeping = asyncio.create_task(sweep_files(studio))
        await studio.until_waiting(2)
    await sweeping
    [swept] = await studio.outputs(video_id)
    assert await state(studio, video_id) == ("RUNNING", "WAITING", ["STAGING"], None)
    assert swept.delete_time is not None
    await nothing_is_kept(studio, video_id)
    assert (await studio.job(videos.GENERATE, video_id)).error == "OutputSwept"
    studio.clock.advance(2)
    await studio.runner().run_due()
    assert (await state(studio, video_id))[:2] == ("SUCCEEDED", "DONE")
    assert (await studio.video(video_id)).output != swept.id


async def sweep_files(studio: Studio) -> None:
    """The sweep of tomorrow; it stands in the queue for the table behind the worker's new row, before its update."""
    async with studio.database.transaction() as session:
        await session.execute(sa.text("LOCK TABLE files IN EXCLUSIVE MODE"))
        tomorrow = studio.clock.now() + files_domain.UNREADY_FOR + datetime.timedelta(seconds=1)
        assert len(await files.sweep_unready(session, tomorrow)) == 1


async def test_a_drained_worker_hands_its_video_on_uncounted_and_another_takes_it_at_once(studio):
    async with working(studio, name="first"):
        video_id = await studio.order(max_attempts=1, **MEDIUM)
        await studio.until_generating(video_id)
    found = await studio.job(videos.GENERATE, video_id)
    assert (found.state, found.attempt, found.excused) == ("QUEUED", 1, 1)
    assert (await studio.video(video_id)).state == "RUNNING"
    async with working(studio, name="second"):
        video = await studio.until_ended(video_id)
    found = await studio.job(videos.GENERATE, video_id)
    assert (video.state, video.attempt, found.worker, found.excused) == ("SUCCEEDED", 2, "second", 1)


async def test_progress_does_not_fall_when_another_worker_begins_anew(studio):
    async with working(studio, name="first"):
        video_id = await studio.order(**MEDIUM)
        await studio.until_generating(video_id)
    async with studio.database.transaction() as session:
        assert await videos.progress(session, video_id, 60, "GENERATING", 1)
    async with working(studio, name="second"):
        await studio.until_generating(video_id, 2)
        video = await studio.video(video_id)
        assert (video.attempt, video.progress_percent) == (2, 60)


async def test_the_loss_of_the_lease_stops_the_model(studio):
    async with working(studio) as worker:
        video_id = await studio.order(**LONG)
        await studio.until_generating(video_id)
        await take_over(studio, video_id, started=False)
        await worker.renew_leases()
        began = time.monotonic()
        next_one = await studio.order()
        assert (await studio.until_ended(next_one)).state == "SUCCEEDED"
        assert time.monotonic() - began < in_proportion(5)
        assert await state(studio, video_id) == ("RUNNING", "RUNNING", [], None)

"""What goes wrong with a video: refusals, dead models, lost labels, used up attempts."""

import asyncio
import os
import signal

import pytest

from services.generation.labels.inspection import Inspection
from services.generation.triton import client
from services.generation.videos import store as videos
from services.generation.worker import film
from services.generation.worker.make import Maker
from services.generation.worker.parts import restore
from services.runtime import jobs
from services.runtime.jobs import JobRow
from services.runtime.runner import Runner
from tests.support import films, rpc
from tests.support.triton import Server
from tests.support.waiting import until
from tests.unit.generation.worker.studio import GENERATE, LONG, SMALL, Studio


def _comes(data: bytes, wanted, target) -> Inspection:
    """A film as it comes from a model: written, and looked at."""
    target.write_bytes(data)
    with Inspection(wanted.label, wanted.frame_rate, wanted.frames) as inspection:
        inspection.feed(data)
    return inspection


class Unlabeled(Maker):
    """Has a model that breaks its promise: it burns no label."""

    async def _run(self, video, wanted, target, meter):
        size = wanted.width, wanted.height
        frames = films.copies(films.noise(*size), wanted.frames)
        return _comes(films.unlabeled(frames, size, wanted.frame_rate), wanted, target)


class Otherwise(Maker):
    """Has a model that burns another label than it was told."""

    async def _run(self, video, wanted, target, meter):
        other = film.visible_label(self.profile.labels, "en", wanted.duration_seconds)
        frames = films.copies(films.noise(wanted.width, wanted.height), wanted.frames)
        return _comes(films.film(frames, wanted.frames, wanted.frame_rate, other), wanted, target)


class Torn(Maker):
    """Loses the end of the film between model and label."""

    async def _run(self, video, wanted, target, meter):
        inspection = await super()._run(video, wanted, target, meter)
        target.write_bytes(target.read_bytes()[:-2000])
        return inspection


class Short(Maker):
    """Has a model that makes half of what was paid for."""

    async def _run(self, video, wanted, target, meter):
        label = wanted.label
        frames = films.copies(films.noise(wanted.width, wanted.height), wanted.frames)
        return _comes(films.film(frames, wanted.frames // 2, wanted.frame_rate, label), wanted, target)


async def ended(studio: Studio, video_id: str) -> tuple[str, str | None, str | None]:
    """State, outcome and reason of a video; its money must be asked for, and nothing published."""
    video = await studio.video(video_id)
    assert [file.state for file in await studio.outputs(video_id)].count("READY") == (video.state == "SUCCEEDED")
    if video.end_time:
        assert (await studio.job(videos.SETTLE, video_id)).state == "QUEUED"
    return video.state, video.outcome, video.error_reason


async def job(studio: Studio, video_id: str) -> JobRow:
    found = await studio.job(videos.GENERATE, video_id)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", [Unlabeled, Otherwise, Torn, Short])
async def test_a_film_without_its_labels_is_not_published_and_not_charged(studio, kind):
    video_id = await studio.order()
    await studio.runner(kind).run_due()
    assert await ended(studio, video_id) == ("FAILED", "INFRASTRUCTURE_ERROR", "LABEL_FAILED")
    assert await studio.outputs(video_id) == []
    assert (await job(studio, video_id)).state == "DONE"


@pytest.mark.parametrize(
    "parameters", [{"width": 255}, {"camera": {"zoom": 11}}, {"frame_rate": 90}, {"duration_seconds": 61}]
)
async def test_what_the_model_refuses_is_not_tried_again(studio, parameters):
    video_id = await studio.order(**parameters)
    await studio.runner().run_due()
    assert await ended(studio, video_id) == ("FAILED", "INFRASTRUCTURE_ERROR", "GENERATION_FAILED")
    assert (await studio.video(video_id)).error_metadata["attempts"] == "1"
    assert (await job(studio, video_id)).state == "DONE"


async def test_a_picture_that_no_model_can_read_ends_the_video(studio):
    picture = await studio.picture()
    await studio.objects.put_async(f"inputs/{rpc.ORGANIZATION}/{picture}.frame.jpg", b"no picture")
    video_id = await studio.order(image=picture)
    await studio.runner().run_due()
    assert await ended(studio, video_id) == ("FAILED", "INFRASTRUCTURE_ERROR", "GENERATION_FAILED")


async def test_without_the_model_a_video_stays_queued_and_nobody_is_blamed(studio):
    video_id = await studio.order(model="wan", max_attempts=1)
    worker = studio.runner(model="wan")
    for turn in range(1, 4):
        assert await worker.run_due() == 1
        found = await job(studio, video_id)
        assert (found.state, found.attempt, found.excused) == ("WAITING", turn, turn)
        assert (await studio.video(video_id)).state == "QUEUED"
        studio.clock.advance(1)


async def test_without_a_server_a_video_stays_queued_and_nobody_is_blamed(lone_studio):
    video_id = await lone_studio.order(max_attempts=1)
    await lone_studio.runner().run_due()
    assert (await lone_studio.video(video_id)).state == "QUEUED"
    assert (await job(lone_studio, video_id)).excused == 1


async def test_a_begun_video_whose_model_never_comes_back_is_given_up_after_an_hour(lone_studio):
    video_id = await lone_studio.order(max_attempts=3)
    worker = lone_studio.runner()
    await worker.run_due()
    async with lone_studio.database.transaction() as session:
        assert await videos.start(session, video_id, lone_studio.clock.now(), 1)
    lone_studio.clock.advance(3600)
    await worker.run_due()
    assert (await lone_studio.video(video_id)).state == "RUNNING"
    lone_studio.clock.advance(1)
    await worker.run_due()
    assert await ended(lone_studio, video_id) == ("FAILED", "INFRASTRUCTURE_ERROR", "GENERATION_FAILED")
    assert (await job(lone_studio, video_id)).state == "DONE"


def kill_model(triton: Server) -> None:
    [process] = triton.model_processes()
    os.kill(process, signal.SIGKILL)


async def killed_in_the_middle(studio: Studio, triton: Server, max_attempts: int) -> str:
    """Have the model die on the first attempt at a video; returns the video."""
    video_id = await studio.order(max_attempts=max_attempts, **LONG)
    working = asyncio.create_task(studio.runner().run_due())
    await studio.until_generating(video_id)
    kill_model(triton)
    await working
    await asyncio.to_thread(triton.mend)
    return video_id


async def shorten(studio: Studio, video_id: str) -> None:
    """The second attempt need not take as long."""
    async with studio.database.transaction() as session:
        video = await videos.get(session, video_id)
        for name, value in SMALL.items():
            setattr(video, name, value)


async def test_a_killed_model_counts_is_revived_and_the_next_attempt_succeeds(fresh_studio, fresh_triton):
    studio = fresh_studio
    video_id = await killed_in_the_middle(studio, fresh_triton, 2)
    found = await job(studio, video_id)
    assert (found.state, found.attempt, found.excused, found.error) == ("WAITING", 1, 0, "Crashed")
    begun = (await studio.video(video_id)).start_time
    assert (await client.describe(studio.server, "animatic")).instances == 1
    await shorten(studio, video_id)
    studio.clock.advance(2)
    await studio.runner().run_due()
    assert await ended(studio, video_id) == ("SUCCEEDED", "SUCCEEDED", None)
    video = await studio.video(video_id)
    assert (video.attempt, video.start_time) == (2, begun)


async def test_when_the_attempts_are_used_up_the_video_ends_uncharged(fresh_studio, fresh_triton):
    video_id = await killed_in_the_middle(fresh_studio, fresh_triton, 1)
    assert await ended(fresh_studio, video_id) == ("FAILED", "INFRASTRUCTURE_ERROR", "GENERATION_FAILED")
    assert (await fresh_studio.video(video_id)).error_metadata["attempts"] == "1"
    assert (await job(fresh_studio, video_id)).state == "DEAD"


async def test_a_video_that_kills_its_workers_ends_after_its_attempts(studio):
    video_id = await studio.order(max_attempts=2)
    for _ in range(2):
        async with studio.database.transaction() as session:
            await jobs.promote(session, [GENERATE], studio.clock)
            assert await jobs.claim(session, [GENERATE], "killed", studio.clock, 30)
        studio.clock.advance(31)
    await studio.runner().run_due()
    assert await ended(studio, video_id) == ("FAILED", "INFRASTRUCTURE_ERROR", "GENERATION_FAILED")
    assert (await studio.video(video_id)).error_metadata["attempts"] == "2"


async def test_a_model_that_died_while_it_was_idle_is_revived(fresh_studio, fresh_triton):
    video_id = await fresh_studio.order()
    kill_model(fresh_triton)
    worker = fresh_studio.runner()
    await worker.run_due()
    assert (await job(fresh_studio, video_id)).state == "WAITING"
    fresh_studio.clock.advance(2)
    await worker.run_due()
    assert (await ended(fresh_studio, video_id))[0] == "SUCCEEDED"


async def test_a_model_that_a_killed_worker_left_unloaded_is_loaded(fresh_studio):
    await fresh_studio.server.unload_model("animatic")

    async def loaded():
        await restore(fresh_studio.server, ["wan", "animatic"])
        return await fresh_studio.server.is_model_ready("animatic")

    await until(loaded)
    video_id = await fresh_studio.order()
    await fresh_studio.runner().run_due()
    assert (await ended(fresh_studio, video_id))[0] == "SUCCEEDED"


async def test_a_run_that_takes_too_long_is_given_up_and_counts(studio):
    video_id = await studio.order(max_attempts=2, **LONG)
    maker = studio.maker(run_seconds=0.3)
    worker = Runner(studio.database, {GENERATE: maker.generate}, clock=studio.clock)
    await worker.run_due()
    found = await job(studio, video_id)
    assert (found.state, found.attempt, found.excused, found.error) == ("WAITING", 1, 0, "RunTimedOut")


async def test_a_store_that_is_away_is_waited_for_and_the_film_is_not_made_again(studio, tmp_path):
    folder, aside = tmp_path / "objects", tmp_path / "aside"
    folder.rename(aside)
    folder.touch()  # so that nothing can be stored there
    video_id = await studio.order()
    working = asyncio.create_task(studio.runner().run_due())
    await until(lambda: _stage(studio, video_id, "PUBLISHING"))
    assert not working.done()
    folder.unlink()
    aside.rename(folder)
    await working
    assert await ended(studio, video_id) == ("SUCCEEDED", "SUCCEEDED", None)
    assert (await job(studio, video_id)).attempt == 1


async def test_who_cancels_does_not_wait_for_the_store(studio, tmp_path):
    (tmp_path / "objects").rename(tmp_path / "aside")
    (tmp_path / "objects").touch()
    video_id = await studio.order()
    worker = studio.runner(lease_seconds=3600)
    working = asyncio.create_task(worker.run())
    await until(lambda: _stage(studio, video_id, "PUBLISHING"))
    await studio.cancel(video_id)
    await worker.renew_leases()
    await until(lambda: _is_free(worker))
    await worker.drain(0)
    await asyncio.gather(working, return_exceptions=True)
    assert [file.state for file in await studio.outputs(video_id)] == ["STAGING"]


async def _stage(studio: Studio, video_id: str, stage: str) -> bool:
    return (await studio.video(video_id)).stage == stage


async def _is_free(worker: Runner) -> bool:
    return not worker._held

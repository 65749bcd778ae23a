"""From a queued video to a published one: what is written, when, and in which transaction."""

import asyncio
import dataclasses
import datetime
import itertools
import json

import numpy as np
import pytest
import sqlalchemy as sa

from services.generation.film.label import Label
from services.generation.film.planes import Plane, Planes, from_rgb
from services.generation.labels import aigc, readback
from services.generation.labels.inspection import Inspection
from services.generation.models import catalog
from services.generation.triton.contract import ENCODING, GENERATING, Event, Job
from services.generation.videos import domain
from services.generation.videos import store as videos
from services.generation.videos.tables import VideoRow
from services.generation.worker import film
from services.generation.worker.meter import Ended, Meter
from services.generation.worker.usage import Stages
from services.runtime.database import Database
from tests.support import films
from tests.support.films import PROVIDER
from tests.unit.generation.worker.studio import SMALL, sha256


@pytest.mark.promise("KLING-A3.10", "SILICON-U4.3b")
async def test_a_queued_video_is_made_labeled_and_published(studio, tmp_path):
    video_id = await studio.order()
    assert await studio.runner().run_due() == 1
    video = await studio.video(video_id)
    [file] = await studio.outputs(video_id)
    assert (video.state, video.outcome, video.settlement) == ("SUCCEEDED", "SUCCEEDED", "PENDING")
    assert (video.progress_percent, video.stage, video.attempt, video.output) == (100, "", 1, file.id)
    assert (video.start_time, video.end_time) == (studio.clock.now(), studio.clock.now())
    assert (file.state, file.width, file.height, file.frame_rate) == ("READY", 320, 180, 12)
    assert file.expire_time == video.expire_time == studio.clock.now() + datetime.timedelta(days=1)
    content = await studio.content(file)
    assert (file.size_bytes, file.sha256) == (len(content), sha256(content))
    assert (await studio.job(videos.GENERATE, video_id)).state == "DONE"
    assert (await studio.job(videos.SETTLE, video_id)).state == "QUEUED"
    assert (await studio.job(videos.START_DEADLINE, video_id)).state == "CANCELLED"

    (tmp_path / "film.mp4").write_bytes(content)
    report = readback.read(tmp_path / "film.mp4", Label("AI生成", 1, 5))
    assert report.visible, "the film does not show the words"
    assert report.visible_seconds == file.visible_seconds == 1
    assert report.visible_ink_percent == pytest.approx(file.visible_ink_percent, abs=0.01)
    assert file.visible_ink_percent >= 5
    assert json.loads(file.aigc) == report.aigc
    assert (aigc.of_text(file.aigc).label, aigc.of_text(file.aigc).content_producer) == ("1", PROVIDER)


@pytest.mark.promise("KLING-A3.10", "SILICON-U4.3b")
def test_a_film_of_any_length_and_size_bears_the_words_for_two_seconds_or_throughout(profile):
    for model in catalog.models().values():
        options = model.duration_seconds, model.resolutions, model.aspect_ratios, ("", "fil_1")
        for seconds, resolution, ratio, image in itertools.product(*options):
            width, height = model.size(resolution, ratio) or domain.measures(resolution, ratio)
            video = VideoRow(id="vid_1", prompt="", image=image, duration_seconds=seconds, seed=1)
            video.width, video.height, video.frame_rate = width, height, model.frame_rate
            job = film.job_of(video, film.visible_label(profile.labels, profile.place.locale, seconds))
            assert job.label.text == "AI生成"
            assert job.label.ink_percent >= 5
            assert job.label.frames(job.frame_rate, job.frames) >= min(2, seconds) * job.frame_rate


@pytest.mark.promise("CARRY-1.3", "AICC-1.3b", "NEXA-1.1.3b")
async def test_each_film_shows_its_own_picture_in_its_colors_to_the_end(studio):
    pictures = {await studio.order(image=await studio.picture(seed)): seed for seed in (1, 2)}
    await studio.runner().run_due()
    for video, seed in pictures.items():
        [file] = await studio.outputs(video)
        wanted = from_rgb(np.asarray(films.scene(640, 360, seed).resize((320, 180))))
        frames = films.decoded(await studio.content(file))
        assert len(frames) == 12
        for frame in frames:
            # The camera has moved; another picture's likeness is below a half.
            assert min(map(_likeness, _planes(frame), _planes(wanted))) > 0.6


def _planes(picture: Planes) -> tuple[Plane, ...]:
    return picture.luma, picture.blue, picture.red


def _likeness(seen: Plane, wanted: Plane) -> float:
    """How alike two planes are, less their lowest fifth, where the label stands: 1 is the same, 0 one of one value."""
    rows = wanted.shape[0] * 4 // 5
    if seen[:rows].std() == 0:
        return 0.0
    return float(np.corrcoef(seen[:rows].ravel(), wanted[:rows].ravel())[0, 1])


async def test_the_end_of_the_job_and_of_the_video_are_one_transaction(studio):
    """The rows that the transaction wrote bear its number, and it is one."""
    video_id = await studio.order()
    await studio.runner().run_due()
    numbers = set()
    async with studio.database.transaction() as session:
        for table, where in (
            ("videos", f"id = '{video_id}'"),
            ("files", f"video = '{video_id}'"),
            ("jobs", f"key IN ('generate:{video_id}', 'settle:{video_id}')"),
        ):
            query = f"SELECT xmin::text FROM {table} WHERE {where}"  # noqa: S608  names of the test
            numbers |= set((await session.execute(sa.text(query))).scalars())
    assert len(numbers) == 1


async def test_while_the_clock_stands_each_stage_is_written_once(studio):
    video_id = await studio.order()
    queued = (await studio.video(video_id)).sequence
    await studio.runner().run_due()
    # RUNNING; GENERATING, ENCODING, LABELING, PUBLISHING; SUCCEEDED
    assert (await studio.video(video_id)).sequence == queued + 6


async def started(studio, attempt=1):
    video_id = await studio.order()
    async with studio.database.transaction() as session:
        assert await videos.start(session, video_id, studio.clock.now(), attempt)
    return video_id, Meter(studio.database, studio.clock.steady, video_id, attempt, Stages("animatic"))


async def test_progress_never_falls_and_is_written_at_most_once_a_second(studio):
    video_id, meter = await started(studio)
    written = []
    for seconds, stage, percent in (
        (0, GENERATING, 10), (0.5, GENERATING, 20), (0.49, GENERATING, 30), (0.01, GENERATING, 40),
        (1, GENERATING, 20), (0, ENCODING, 100), (0.9, ENCODING, 100), (-3600, ENCODING, 100), (0.1, ENCODING, 100),
    ):  # fmt: skip
        studio.clock.advance(seconds)
        before = (await studio.video(video_id)).sequence
        await meter.told(Event(stage, percent, 0))
        video = await studio.video(video_id)
        written.append((video.sequence - before, video.progress_percent, video.stage))
    assert written == [
        (1, 9, GENERATING), (0, 9, GENERATING), (0, 9, GENERATING), (1, 36, GENERATING),
        (1, 36, GENERATING), (1, 90, ENCODING), (0, 90, ENCODING), (0, 90, ENCODING), (1, 90, ENCODING),
    ]  # fmt: skip


async def test_progress_of_an_attempt_that_was_taken_over_is_not_written(studio):
    video_id, meter = await started(studio)
    async with studio.database.transaction() as session:
        assert await videos.start(session, video_id, studio.clock.now(), 2)
    with pytest.raises(Ended):
        await meter.write(50, GENERATING)
    assert (await studio.video(video_id)).progress_percent == 0


async def test_a_database_that_does_not_answer_stops_no_model(studio):
    nowhere = Database("postgresql+asyncpg://nobody@/nothing?host=/nowhere")
    meter = Meter(nowhere, studio.clock.steady, "vid_1", 1, Stages("animatic"))
    await meter.told(Event(GENERATING, 50, 0))
    await nowhere.close()


def test_the_label_speaks_the_profile_s_language_and_lasts_as_it_says(studio_rules):
    whole = studio_rules.labels
    assert film.visible_label(whole, "zh", 5).text == "AI生成"
    assert film.visible_label(whole, "en", 5).text == "AI-generated"
    assert film.visible_label(whole, "zh", 5).seconds == 5
    assert film.visible_label(dataclasses.replace(whole, seconds=2.5), "zh", 5).seconds == 2.5
    assert film.visible_label(dataclasses.replace(whole, seconds=2.5), "zh", 2).seconds == 2
    assert film.visible_label(whole, "zh", 5).ink_percent == 5


@pytest.mark.promise(
    "AICC-1.3",
    "NEXA-1.1.3",
    "KLING-P1.2a",
    part="the model that is shipped sets the text as a title card; no generative one has run on real weights",
)
@pytest.mark.parametrize("prompt", ["a lighthouse at dusk", "黄昏的灯塔", "a lighthouse at dusk, " * 100])
async def test_every_parameter_of_the_order_reaches_the_model(studio, prompt):
    camera = {"horizontal": 1, "vertical": -2, "zoom": 3}
    order = {"prompt": prompt, "negative_prompt": "rain", "camera": camera, "seed": 2**32 - 1}
    video = await studio.video(await studio.order(**order))
    job = film.job_of(video, film.visible_label(studio.rules.labels, "zh", 1))
    told = json.loads(job.to_bytes())
    assert {name: told[name] for name in SMALL} == SMALL
    assert (told["prompt"], told["negative_prompt"], told["seed"]) == (prompt, "rain", 2**32 - 1)
    assert told["camera_control"] == camera
    assert (told["video"], told["label"]["text"]) == (video.id, "AI生成")


async def test_a_cancelled_labeling_ends_before_its_folder_is_removed(tmp_path, studio_rules):
    wanted = Job("vid_1", "", 1.0, 320, 180, 12, 7, film.visible_label(studio_rules.labels, "zh", 1))
    raw = films.film(films.copies(films.noise(320, 180), 12), 12, 12, wanted.label)
    (tmp_path / "raw.mp4").write_bytes(raw)
    with Inspection(wanted.label, wanted.frame_rate, wanted.frames) as inspection:
        inspection.feed(raw)
    working = asyncio.create_task(film.label(tmp_path / "raw.mp4", tmp_path / "out.mp4", wanted, PROVIDER, inspection))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert readback.read(tmp_path / "out.mp4", wanted.label).visible

"""The models of the Wan family on the real Triton: films, progress, cancel, refusals, order."""

import asyncio
import contextlib
import dataclasses
import io
import itertools
import time

import av
import pytest
from PIL import Image

from services.generation.film.camera import Control
from services.generation.film.label import Label
from services.generation.labels import aigc, mark, readback
from services.generation.triton import client
from services.generation.triton.client import Model
from services.generation.triton.contract import ENCODING, GENERATING, Job, JobRefused
from tests.support.films import PROVIDER, encoded, scene
from tests.support.waiting import until

SMALL = Job("vid_small", "a lighthouse at dusk", 0.5, 128, 128, 16, 7, Label("AI生成", 0.5))
FILM = dataclasses.replace(SMALL, video="vid_film", duration_seconds=1.0, width=256, steps=8)
PICTURE = encoded(scene(320, 240))
# Takes many seconds, so that a test can do something in its middle.
LONG = dataclasses.replace(FILM, video="vid_long", duration_seconds=5.0, width=512, height=512, steps=200)


async def made(connection, job, image=b"", model="wan"):
    """The whole file and all steps of a job."""
    steps = [step async for step in client.run(connection, model, job, image, seconds=120)]
    return b"".join(step.piece for step in steps), steps


async def test_text_becomes_a_labeled_film_and_each_step_is_told(connection, tmp_path):
    assert await client.describe(connection, "wan") == Model("wan", 1, 1)
    data, steps = await made(connection, FILM)
    denoised = [step.event.progress_percent for step in steps if step.event.stage == GENERATING]
    assert denoised == [round(90 * done / 8, 1) for done in range(9)]
    percents = [step.event.progress_percent for step in steps]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert {step.event.stage for step in steps[9:]} == {ENCODING}
    assert [step.final for step in steps] == [False] * (len(steps) - 1) + [True]
    offsets = [0, *itertools.accumulate(len(step.piece) for step in steps)]
    assert [step.event.offset for step in steps] == offsets[:-1]
    (tmp_path / "in.mp4").write_bytes(data)
    written = aigc.generated(PROVIDER)
    mark.mark(tmp_path / "in.mp4", tmp_path / "out.mp4", written)
    report = readback.read(tmp_path / "out.mp4", FILM.label)
    readback.verify(report, readback.Expected(FILM.label, written, 256, 128, 16, 1.0))


@pytest.mark.parametrize(
    ("model", "rate", "image"), [("wan-image", 16, PICTURE), ("wan-5b", 24, b""), ("wan-5b", 24, PICTURE)]
)
async def test_a_picture_or_a_text_becomes_a_film(connection, model, rate, image):
    job = dataclasses.replace(SMALL, frame_rate=rate)
    data, _ = await made(connection, job, image, model)
    with av.open(io.BytesIO(data)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(frames) == rate // 2
    assert {frame.shape for frame in frames} == {(128, 128, 3)}


async def test_the_same_job_gives_the_same_bytes_and_every_choice_counts(connection):
    strong = dataclasses.replace(SMALL, guidance_scale=30.0)  # so that random weights show what they were told
    films = [(await made(connection, strong))[0], (await made(connection, strong))[0]]
    assert films[0] == films[1]
    for change in ({"seed": 8}, {"steps": 5}, {"guidance_scale": 1.0}, {"prompt": "sea"}, {"negative_prompt": "sea"}):
        films.append((await made(connection, dataclasses.replace(strong, **change)))[0])
    assert len(set(films)) == len(films) - 1
    first = (await made(connection, dataclasses.replace(SMALL, frame_rate=24), PICTURE, "wan-5b"))[0]
    other = encoded(Image.new("RGB", (320, 240), (200, 30, 30)))
    assert first != (await made(connection, dataclasses.replace(SMALL, frame_rate=24), other, "wan-5b"))[0]


async def test_a_cancel_is_seen_within_one_step_and_frees_the_instance(connection):
    times = []
    async with contextlib.aclosing(client.run(connection, "wan", LONG, seconds=120)) as steps:
        async for step in steps:
            times.append(time.monotonic())
            if step.event.progress_percent >= 90 * 4 / 200:
                break
    a_step = max(after - before for before, after in itertools.pairwise(times[1:]))
    began = time.monotonic()
    async with contextlib.aclosing(client.run(connection, "wan", SMALL, seconds=120)) as steps:
        async for _ in steps:
            waited = time.monotonic() - began
            break
    assert waited < 3 * a_step + 1, "the long job would have taken 196 steps more"
    assert a_step * 196 > 3 * a_step + 1
    assert (await made(connection, SMALL))[0]


async def test_a_cancel_while_frames_are_decoded_frees_the_instance(connection):
    job = dataclasses.replace(LONG, steps=1)
    async with contextlib.aclosing(client.run(connection, "wan", job, seconds=120)) as steps:
        async for step in steps:
            if step.event.stage == ENCODING:
                break
    assert (await made(connection, SMALL))[0] == (await made(connection, SMALL))[0]


@pytest.mark.parametrize(
    ("model", "changes", "image", "told"),
    [
        ("wan", {"width": 144}, b"", "FIELD_INVALID width"),
        ("wan", {"height": 136}, b"", "FIELD_INVALID height"),
        ("wan", {"frame_rate": 24}, b"", "FIELD_INVALID frame_rate"),
        ("wan", {"duration_seconds": 5.2}, b"", "FIELD_INVALID duration_seconds"),
        ("wan", {"steps": 0}, b"", "FIELD_INVALID steps"),
        ("wan", {"guidance_scale": 31.0}, b"", "FIELD_INVALID guidance_scale"),
        ("wan", {"camera_control": Control(zoom=1)}, b"", "FIELD_INVALID camera_control"),
        ("wan", {"prompt": "sea " * 512}, b"", "FIELD_INVALID prompt"),
        ("wan", {"negative_prompt": "sea " * 512}, b"", "FIELD_INVALID negative_prompt"),
        ("wan", {"label": Label("🙂 AI")}, b"", "FIELD_INVALID label.text"),
        ("wan", {}, PICTURE, "FIELD_INVALID image"),
        ("wan-image", {}, b"", "FIELD_INVALID image"),
        ("wan-image", {}, b"no picture", "IMAGE_UNREADABLE image"),
        ("wan-image", {}, encoded(Image.new("L", (90, 9))), "IMAGE_TOO_SMALL image"),
        ("wan-5b", {"frame_rate": 24, "duration_seconds": 5.1}, b"", "FIELD_INVALID duration_seconds"),
    ],
)
async def test_a_bad_job_is_refused_with_its_field_before_the_first_step(connection, model, changes, image, told):
    with pytest.raises(JobRefused) as refused:
        await made(connection, dataclasses.replace(SMALL, **changes), image, model)
    assert f"{refused.value.reason} {refused.value.field}" == told


async def test_two_jobs_are_done_one_after_the_other(connection):
    order = []

    async def work(job):
        async for step in client.run(connection, "wan", job, seconds=120):
            order.append((job.video, step.final))

    one = asyncio.create_task(work(dataclasses.replace(FILM, video="first")))
    await until(lambda: order or one.done(), pause=0.01)
    await asyncio.gather(one, work(dataclasses.replace(SMALL, video="second")))
    names = [name for name, _ in order]
    assert names == ["first"] * names.count("first") + ["second"] * names.count("second")
    assert order[-1] == ("second", True)

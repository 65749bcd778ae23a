"""The preview model in the real Triton: whole jobs, refused jobs, order, cancelling, cost."""

import asyncio
import contextlib
import dataclasses
import io
import itertools
import time

import av
import numpy as np
import pytest
from PIL import Image

from services.generation.film.camera import Control
from services.generation.film.label import Label
from services.generation.labels import aigc, mark, readback
from services.generation.triton import client
from services.generation.triton.contract import ENCODING, GENERATING, JobRefused
from tests.support.films import LABEL, PROVIDER, decoded, encoded, scene
from tests.support.pace import in_proportion
from tests.support.waiting import until
from tests.unit.generation.triton.jobs import FULL, LONG, SMALL, made

PICTURE = encoded(scene(400, 300))


async def test_a_prompt_becomes_a_labeled_video_that_can_be_published(connection, tmp_path):
    data, _ = await made(connection, FULL)
    (tmp_path / "in.mp4").write_bytes(data)
    label = aigc.generated(PROVIDER)
    mark.mark(tmp_path / "in.mp4", tmp_path / "out.mp4", label)
    report = readback.read(tmp_path / "out.mp4", LABEL)
    readback.verify(report, readback.Expected(LABEL, label, 1280, 720, 24, 5.0))
    assert report.visible_ink_percent >= 5
    assert report.visible_seconds == 2.5


async def test_a_picture_becomes_a_video_of_itself(connection):
    data, _ = await made(
        connection, dataclasses.replace(FULL, camera_control=Control(zoom=2)), encoded(scene(960, 540))
    )
    first = decoded(data)[0].luma[:500]
    want = np.asarray(scene(960, 540).resize((1280, 720)).convert("L"), float)[:500]
    assert np.corrcoef(first.ravel(), want.ravel())[0, 1] > 0.98


async def test_the_server_has_nothing_to_say_of_tensors(triton_server, connection):
    await made(connection, FULL, PICTURE)
    assert "Exception" not in triton_server.process.log.read_text(), "NumPy fails where the stub misnames a capsule"


async def test_events_tell_the_way_and_pieces_fit(connection):
    data, steps = await made(connection, FULL)
    percents = [step.event.progress_percent for step in steps]
    assert percents == sorted(percents)
    assert len(percents) >= 30
    assert percents[-1] == 100
    assert {step.event.stage for step in steps[:-1]} == {GENERATING}
    assert steps[-1].event.stage == ENCODING
    assert [step.final for step in steps] == [False] * (len(steps) - 1) + [True]
    assert steps[-1].piece, "the last payload comes with the final flag"
    offsets = [0, *itertools.accumulate(len(step.piece) for step in steps)]
    assert [step.event.offset for step in steps] == offsets[:-1]
    assert sum(1 for step in steps if step.piece) >= 3, "it streams while frames are made"
    assert len(data) == offsets[-1]


@pytest.mark.parametrize(
    "size", [(854, 480), (480, 854), (480, 480), (720, 1280), (720, 720), (1920, 1080), (1080, 1920), (1080, 1080)]
)
async def test_every_offered_size_is_made(connection, size):
    job = dataclasses.replace(SMALL, width=size[0], height=size[1], frame_rate=24, duration_seconds=0.5)
    for image in (b"", PICTURE):
        data, _ = await made(connection, job, image)
        with av.open(io.BytesIO(data)) as file:
            context = file.streams.video[0].codec_context
            assert (context.width, context.height, context.name) == (*size, "h264")
            assert len(list(file.decode(video=0))) == 12


async def test_the_same_job_gives_the_same_bytes(connection):
    assert (await made(connection, SMALL))[0] == (await made(connection, SMALL))[0]
    other = dataclasses.replace(SMALL, seed=8)
    assert (await made(connection, SMALL))[0] != (await made(connection, other))[0]


GIF = encoded(Image.new("RGB", (64, 64)), "GIF")


@pytest.mark.parametrize(
    ("job", "image", "reason", "field"),
    [
        (dataclasses.replace(SMALL, width=255), b"", "FIELD_INVALID", "width"),
        (dataclasses.replace(SMALL, contract_version=2), b"", "CONTRACT_VERSION", "contract_version"),
        (dataclasses.replace(SMALL, camera_control=Control(zoom=10.5)), b"", "FIELD_INVALID", "camera_control.zoom"),
        (dataclasses.replace(SMALL, label=Label("")), b"", "FIELD_INVALID", "label.text"),
        (dataclasses.replace(SMALL, label=Label("🙂 AI")), b"", "FIELD_INVALID", "label.text"),
        (dataclasses.replace(SMALL, label=Label("人工智能生成合成" * 8, 2.5, 20)), b"", "FIELD_INVALID", "label.text"),
        (dataclasses.replace(SMALL, prompt="长" * 50_000), b"", "JOB_UNREADABLE", "job"),
        (SMALL, b"no picture", "IMAGE_UNREADABLE", "image"),
        (SMALL, GIF, "IMAGE_UNREADABLE", "image"),
        (SMALL, PICTURE[:-500], "IMAGE_UNREADABLE", "image"),
        (SMALL, encoded(Image.new("L", (9000, 9000))), "IMAGE_TOO_LARGE", "image"),
        (SMALL, encoded(Image.new("L", (90, 9))), "IMAGE_TOO_SMALL", "image"),
    ],
)
async def test_a_bad_job_is_refused_with_its_field_and_harms_nobody(connection, job, image, reason, field):
    with pytest.raises(JobRefused) as refused:
        await made(connection, job, image)
    assert (refused.value.reason, refused.value.field) == (reason, field)
    await made(connection, SMALL)


async def test_a_cancelled_job_frees_the_model_within_a_step(connection, triton_server):
    async with contextlib.aclosing(client.run(connection, "animatic", LONG, PICTURE, seconds=60)) as steps:
        async for step in steps:
            if step.event.progress_percent > 3:
                break
    began = time.monotonic()
    await made(connection, SMALL)
    assert time.monotonic() - began < in_proportion(3), "the long job would have taken many more"
    before = triton_server.model_cpu_seconds()
    await asyncio.to_thread(triton_server.triton.ready)
    assert triton_server.model_cpu_seconds() - before < 0.5, "nothing works on for nobody"


async def test_a_cancelled_task_cancels_the_job(connection):
    started = asyncio.Event()

    async def work():
        async with contextlib.aclosing(client.run(connection, "animatic", LONG, PICTURE, seconds=60)) as steps:
            async for _ in steps:
                started.set()

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    began = time.monotonic()
    await made(connection, SMALL)
    assert time.monotonic() - began < in_proportion(3)


async def test_two_jobs_are_done_one_after_the_other(connection):
    order = []

    async def work(job):
        async for step in client.run(connection, "animatic", job, seconds=60):
            order.append((job.video, step.final))

    first = dataclasses.replace(FULL, video="first", duration_seconds=2.0)
    one = asyncio.create_task(work(first))
    await until(lambda: order or one.done(), pause=0.01)
    await asyncio.gather(one, work(dataclasses.replace(SMALL, video="second")))
    names = [name for name, _ in order]
    assert names == ["first"] * names.count("first") + ["second"] * names.count("second")
    assert order[-1] == ("second", True)


async def test_the_deadline_ends_a_job(connection):
    with pytest.raises(client.RunTimedOut):
        async for _ in client.run(connection, "animatic", LONG, seconds=0.5):
            pass
    await made(connection, SMALL)


async def test_a_thousand_words_are_no_trouble(connection):
    data, _ = await made(connection, dataclasses.replace(SMALL, prompt="海边的灯塔 lighthouse, " * 400))
    assert len(decoded(data)) == 12

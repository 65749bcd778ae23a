"""What runs beside the making of videos: slots, reports, and what recurs."""

import asyncio
import io
import json

import pytest

from services.generation.models import store as models
from services.generation.videos import store as videos
from services.generation.worker import parts
from services.generation.worker.meter import Ended, unless
from services.generation.worker.parts import Every, Reports, Slots
from services.runtime import telemetry
from services.runtime.database import Database
from tests.support import triton
from tests.support.waiting import stays, until

OFFERED = ["wan", "animatic"]


def reports(studio):
    return Reports(studio.database, studio.server, OFFERED, "worker-1", studio.clock)


async def capacity(studio, model="animatic"):
    async with studio.database.transaction() as session:
        found = await models.capacity(session, model, studio.clock.now())
    return found.state, found.slots, found.proven


async def test_one_report_says_what_is_ready(studio):
    own = reports(studio)
    with pytest.raises(RuntimeError):
        await own.proven()
    await own.report()
    await own.proven()
    assert await capacity(studio) == ("READY", 1, True)
    assert await capacity(studio, "wan") == ("WARMING", 0, False)
    studio.clock.advance(16)
    assert await capacity(studio) == ("ZERO", 0, True)


async def test_a_worker_whose_triton_starts_is_warming(lone_studio):
    own = reports(lone_studio)
    await own.report()
    assert await capacity(lone_studio) == ("WARMING", 0, False)
    with pytest.raises(RuntimeError):
        await own.proven()


async def test_a_drained_worker_says_goodbye_and_nothing_after_it(studio):
    own = reports(studio)
    running = asyncio.create_task(own.run())

    async def ready():
        return (await capacity(studio))[0] == "READY"

    await until(ready)
    await own.drain(1)
    await asyncio.wait_for(running, 60)
    await own.report()
    assert await capacity(studio) == ("ZERO", 0, True)


async def test_reports_go_on_without_a_database(lone_studio):
    nowhere = Database("postgresql+asyncpg://nobody@/nothing?host=/nowhere")
    own = Reports(nowhere, lone_studio.server, OFFERED, "worker-1", lone_studio.clock)
    running = asyncio.create_task(own.run())
    await stays(lambda: not running.done())
    running.cancel()
    await nowhere.close()


async def test_slots_wait_for_triton_and_are_its_instances(open_studio, tmp_path):
    server = triton.Server(tmp_path / "home")
    made = []
    async with open_studio(server.address, server.tls) as studio:

        def make(number, ready):
            made.append(number)
            return studio.runner(ready=ready)

        slots = Slots(studio.server, "animatic", make)
        running = asyncio.create_task(slots.run())
        video_id = await studio.order()
        await stays(lambda: made == [])
        try:
            await asyncio.to_thread(server.start)
            assert (await studio.until_ended(video_id)).state == "SUCCEEDED"
        finally:
            await asyncio.to_thread(server.stop)
        assert made == [1]
        await slots.drain(1)
        await asyncio.wait_for(running, 60)


async def test_slots_that_are_drained_before_triton_is_there_end(lone_studio):
    slots = Slots(lone_studio.server, "animatic", lambda *_: pytest.fail("there is no model"))
    running = asyncio.create_task(slots.run())
    await slots.drain(1)
    await asyncio.wait_for(running, 60)


async def test_slots_that_are_drained_while_they_ask_claim_nothing(studio):
    slots = Slots(studio.server, "animatic", lambda *_: pytest.fail("it was drained"))
    await slots.drain(1)
    await asyncio.wait_for(slots.run(), 60)


async def test_a_claim_waits_for_the_model_yet_not_for_ever(studio, lone_studio, monkeypatch):
    assert await Slots(studio.server, "animatic", lambda *_: pytest.fail("not run")).may_claim()
    away = Slots(lone_studio.server, "animatic", lambda *_: pytest.fail("not run"))
    assert not await away.may_claim()
    monkeypatch.setattr(parts, "CLAIM_ANYWAY_SECONDS", 0.0)
    assert await away.may_claim(), "only a claim ends what is overdue"


async def test_each_model_has_a_queue_of_its_own(studio):
    order, other = await studio.order(), await studio.order(model="wan")
    await studio.runner().run_due()
    assert [(await studio.video(video)).state for video in (order, other)] == ["SUCCEEDED", "QUEUED"]
    assert (await studio.job(videos.GENERATE, other)).kind == "generate.wan"


async def test_why_a_model_is_not_loaded_is_logged_once(studio):
    stream = io.StringIO()
    telemetry.configure("worker", stream=stream)
    own = reports(studio)
    await own.report()
    await own.report()
    [line] = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (line["event"], line["model"]) == ("model_not_loaded", "wan")
    assert line["reason"].endswith(".")


async def test_a_fault_does_not_end_what_recurs():
    turns, third = [], asyncio.Event()

    async def act():
        turns.append(1)
        if len(turns) == 3:
            third.set()
        raise ConnectionError

    every = Every("sweep", 0, act)
    running = asyncio.create_task(every.run())
    await asyncio.wait_for(third.wait(), 60)
    await every.drain(1)
    await asyncio.wait_for(running, 60)


async def test_what_recurs_ends_at_once_when_drained():
    begun = asyncio.Event()

    async def act():
        begun.set()

    every = Every("sweep", 3600, act)
    running = asyncio.create_task(every.run())
    await begun.wait()
    await every.drain(1)
    await asyncio.wait_for(running, 60)


async def test_work_is_left_off_when_it_is_stopped():
    stopped, left = asyncio.Event(), []

    async def work():
        stopped.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.append(1)

    with pytest.raises(Ended):
        await unless(stopped, work())
    assert left == [1]


async def test_work_that_is_not_stopped_answers_or_raises():
    async def answer():
        return 42

    async def fault():
        raise ValueError

    assert await unless(asyncio.Event(), answer()) == 42
    with pytest.raises(ValueError, match=r"^$"):
        await unless(asyncio.Event(), fault())

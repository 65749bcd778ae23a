"""The code's own transactions are steps of the model, and what is none is found out."""

import datetime
from collections import Counter

import pytest

from filmgate.generation.v1 import videos_pb2
from services.generation import errors
from services.generation.files import store as files
from services.generation.triton import client as triton
from services.generation.videos import store as videos
from services.generation.videos.tables import VideoRow
from services.generation.worker.make import Maker
from services.runtime import jobs
from services.runtime.caller import Caller
from services.runtime.runner import Runner
from tests.protocol import explorer, invariants
from tests.protocol.conformance import seen_of
from tests.protocol.model import RIGHT
from tests.protocol.rules import Scope
from tests.support import generation, rpc, tls
from tests.support.films import PROVIDER
from tests.support.generation import MADE, ORDER, refusal
from tests.support.transitions import Recorder, Unexplained

WHO = Caller(rpc.ORGANIZATION, rpc.PROJECT, rpc.ACCOUNT)
GENERATE = videos.generating("animatic")
SEEN: Counter[str] = Counter()
"""What all tests of this file have seen together."""
ALIKE = {
    "lost answer: Authorize": "Authorize Ledger.hold",
    "lost answer: Capture Ledger.end": "Capture Ledger.end",
    "lost answer: Release Ledger.end": "Release Ledger.end",
    "lost answer: Tx 3": "Tx 3 Maker._publish",
    "another video kills the server: put off, excused": "the model is not loaded: put off, excused",
    "the object store is full: put off, excused": "the model is not loaded: put off, excused",
    "Runner._blame puts off": "jobs.promote generate",
    "freeze: the clean-up becomes due while the admission goes on": "jobs.claim cleanup",
    "Maker._overdue": "Tx 3 Maker._fail",
}
"""Steps that change the same in the tables as others do."""
VISIBLE = (
    Scope("order", faults=1, makes=False, deadlines=False),
    Scope("make", faults=1, tries=1, admits=False, begins_queued=True, excuses=True, deletes=True),
)
"""Where all steps that a table shows are met."""


@pytest.fixture
async def house(postgres, clock, tmp_path):
    async with generation.house(postgres, clock, tmp_path, open_videos=2) as opened:
        yield opened


@pytest.fixture
async def recorder(postgres, house):
    def owned(name, database):
        return postgres.postgres.url(f"template_{name}_owner", database.engine.url.database), ""

    opened = Recorder(
        {
            "generation": owned("generation", house.database),
            "billing": owned("billing", house.cashier.bank.database),
        }
    )
    await opened.install()
    yield opened
    SEEN.update(opened.seen)


async def check(recorder):
    return await recorder.check(rpc.ORGANIZATION)


async def begin(house):
    return await house.orders.begin(videos_pb2.CreateVideoRequest(**ORDER, request_id="one"), WHO)


async def pass_time(house, seconds):
    house.clock.advance(seconds)
    await house.load_model()
    await house.runner.run_due()


async def start(house, video_id):
    """What the worker does up to the start."""
    async with house.database.transaction() as session:
        job = await jobs.claim(session, [GENERATE], "worker", house.clock, 30)
    async with house.database.transaction() as session:
        await videos.start(session, video_id, house.clock.now(), job.attempt)
    return job


def maker(house):
    """The worker's handler, with a Triton that cannot be reached."""
    server = triton.connect("127.0.0.1:1", tls.triton())
    return Maker(house.database, server, house.objects, house.rules, house.clock, PROVIDER, 60.0)


async def work(house):
    """What the worker's runner does now."""
    handler = maker(house)
    handlers, on_dead = {GENERATE: handler.generate}, {GENERATE: handler.give_up}
    await Runner(house.database, handlers, clock=house.clock, on_dead=on_dead).run_due()
    await handler.server.close()


async def row(house, video_id):
    async with house.database.transaction() as session:
        return await videos.get(session, video_id)


async def stage(house, video_id):
    async with house.database.transaction() as session:
        return await files.stage_output(session, await videos.get(session, video_id), house.clock.now())


async def publish(session, house, job, staged, *, finishes=True, publishes=True):
    """What the worker does in Tx 3, less something."""
    now = house.clock.now()
    if publishes:
        await files.publish_output(session, staged.id, MADE, now + datetime.timedelta(days=1))
    await videos.end(
        session, job.payload["video"], "SUCCEEDED", "SUCCEEDED", now=now, output=staged.id, attempt=job.attempt
    )
    if finishes:
        await jobs.finish(session, job)


async def test_an_order_that_is_made_settled_and_deleted(house, recorder, tmp_path):
    video = await house.create(request_id="one")
    job = await start(house, video.id)
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x" * MADE.size_bytes)
    await maker(house)._publish(job, await row(house, video.id), film, MADE)
    await pass_time(house, 1)
    await house.videos.DeleteVideo(videos_pb2.DeleteVideoRequest(id=video.id), metadata=house.mine)
    await pass_time(house, 1)
    assert await check(recorder) >= 10
    assert {"Tx 1 Admission.begin", "Authorize Ledger.hold", "Tx 2 Admission.accept", "jobs.claim generate",
            "store.start", "store.stage_output", "Tx 3 Maker._publish", "jobs.claim settle", "Capture Ledger.end",
            "VideoJobs.settle store.settled", "Videos.DeleteVideo"} <= recorder.seen.keys()  # fmt: skip


@pytest.mark.parametrize("arrow", ["begun", "held"])
async def test_an_order_that_is_cleaned_up_and_repeated(house, recorder, arrow):
    begun = await begin(house)
    if arrow == "held":
        await house.orders.authorize(begun, await house.orders.quote(begun))
    await pass_time(house, 61)
    await house.create(request_id="one")
    await check(recorder)
    assert {"VideoJobs.clean_up store.drop", "Release Ledger.end", "jobs.finish cleanup"} <= recorder.seen.keys()


async def test_an_order_that_is_refused(house, recorder):
    for _ in range(2):
        await house.create()
    assert (await refusal(house.create(request_id="one")))[1] == "TOO_MANY_OPEN_VIDEOS"
    await check(recorder)
    assert "Admission.refuse" in recorder.seen


async def test_a_video_that_is_cancelled_and_one_whose_deadline_passes(house, recorder):
    cancelled, late = await house.create(), await house.create()
    await house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=cancelled.id), metadata=house.mine)
    await pass_time(house, 3601)
    assert {row.state for row in await house.rows(VideoRow)} == {"CANCELLED", "FAILED"}
    await check(recorder)
    assert {"Tx 3 Videos.CancelVideo", "Tx 3 VideoJobs.pass_deadline"} <= recorder.seen.keys()
    assert late.id


async def test_a_worker_that_dies_and_a_video_that_is_overdue(house, recorder):
    video = await house.create()
    await start(house, video.id)
    house.clock.advance(31)
    async with house.database.transaction() as session:
        await jobs.promote(session, [GENERATE], house.clock)
    house.clock.advance(3600)
    await house.video_jobs.sweep_holds()
    await house.runner.run_due()
    await check(recorder)
    assert {"jobs.promote generate", "Tx 3 VideoJobs._sweep_hold of an overdue video"} <= recorder.seen.keys()


async def test_a_hold_without_a_video_is_swept(house, recorder):
    begun = await begin(house)
    quote = await house.orders.quote(begun)
    await house.orders.refuse(begun)
    await house.orders.authorize(begun, quote)
    await house.video_jobs.sweep_holds()
    await check(recorder)
    assert {"a late copy of Authorize arrives", "VideoJobs._sweep_hold Release"} <= recorder.seen.keys()


async def test_a_film_that_fails(house, recorder):
    video = await house.create()
    job = await start(house, video.id)
    await maker(house)._fail(job, await row(house, video.id), errors.LABEL_FAILED())
    await pass_time(house, 1)
    await check(recorder)
    assert "Tx 3 Maker._fail" in recorder.seen


async def test_a_model_that_is_away_and_workers_that_die_until_none_is_left_to_try(house, recorder):
    video = await house.create()
    await work(house)
    for _ in range(3):
        house.clock.advance(31)
        async with house.database.transaction() as session:
            await jobs.promote(session, [GENERATE], house.clock)
        await start(house, video.id)
    house.clock.advance(31)
    await work(house)
    await pass_time(house, 1)
    await check(recorder)
    assert {"the model is not loaded: put off, excused", "Tx 3 Maker.give_up"} <= recorder.seen.keys()


async def test_a_video_that_is_cancelled_while_it_runs_and_whose_output_is_swept(house, recorder):
    video = await house.create()
    await start(house, video.id)
    await stage(house, video.id)
    await house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=video.id), metadata=house.mine)
    await pass_time(house, 31)
    await work(house)
    house.clock.advance(24 * 3600)
    await house.file_jobs.sweep()
    await pass_time(house, 1)
    await check(recorder)
    assert {"jobs.finish generate", "FileJobs.sweep", "FileJobs.remove_objects"} <= recorder.seen.keys()


async def test_effects_whose_workers_die(house, recorder):
    await begin(house)
    late, ended = await house.create(), await house.create()
    await house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=ended.id), metadata=house.mine)
    house.clock.advance(3601)
    kinds = [*house.video_jobs.handlers()]
    async with house.database.transaction() as session:
        await jobs.promote(session, kinds, house.clock)
    for _ in kinds:
        async with house.database.transaction() as session:
            assert await jobs.claim(session, kinds, "gone", house.clock, 30)
    await pass_time(house, 31)
    await check(recorder)
    assert (await row(house, late.id)).outcome == "DEADLINE_PASSED"
    assert {"jobs.promote cleanup", "jobs.promote settle", "jobs.promote start_deadline"} <= recorder.seen.keys()


@pytest.mark.parametrize("left_out", ["finishes", "publishes"])
async def test_a_tx_3_that_is_not_whole_is_found_out(house, recorder, left_out):
    video = await house.create()
    job = await start(house, video.id)
    staged = await stage(house, video.id)
    await check(recorder)
    async with house.database.transaction() as session:
        await publish(session, house, job, staged, **{left_out: False})
    with pytest.raises(Unexplained, match="no step of the model"):
        await check(recorder)


async def test_a_hold_that_ends_before_its_video_is_found_out(house, recorder):
    video = await house.create()
    await house.cashier.billing.capture(video.id, "SUCCEEDED")
    with pytest.raises(Unexplained, match="no step of the model"):
        await check(recorder)


async def test_a_start_without_the_lease_is_found_out(house, recorder):
    video = await house.create()
    async with house.database.transaction() as session:
        await videos.start(session, video.id, house.clock.now(), 1)
    with pytest.raises(Unexplained, match="no step of the model"):
        await check(recorder)


async def test_what_was_never_seen_is_told(house, recorder):
    await house.create()
    await check(recorder)
    seen, _, never = recorder.report().partition("never seen:")
    assert "1 Tx 2 Admission.accept" in seen
    assert "jobs.claim generate" in never


def test_every_step_that_a_table_shows_was_seen(request):
    here = [item for item in request.session.items if item.path == request.path]
    if len(here) < 17:
        pytest.skip("only some tests of this file have run")
    shown = set()
    for scope in VISIBLE:
        found = explorer.explore(RIGHT, scope, invariants.always, invariants.at_the_end)
        machine = found.machine
        for number in {number for numbers, _, _ in found.states for number in numbers}:
            before = seen_of(machine.videos[number], counts_request=True)
            for name, _, after in machine.of_one(number):
                if seen_of(machine.videos[after], counts_request=True) != before:
                    shown.add(ALIKE.get(name, name))
    assert "Tx 3 Maker.give_up" in shown
    assert shown - SEEN.keys() == set()

"""The transactions of a video's life on the real database: every race for the one UPDATE has one winner."""

import asyncio
import datetime

import grpc
import pytest
import sqlalchemy as sa

from filmgate.generation.v1 import videos_pb2
from services.generation import errors
from services.generation.files.tables import FileRow
from services.generation.videos import store
from services.generation.videos.jobs import VideoJobs
from services.generation.videos.tables import VideoRow
from services.runtime import database as databases
from services.runtime import jobs
from services.runtime.runner import Runner
from tests.support import rpc
from tests.support.clock import FakeClock
from tests.support.generation import ORDER, PRICE, stranger

ENDS = {
    "success": ("SUCCEEDED", "SUCCEEDED", PRICE),
    "cancel": ("CANCELLED", "CANCELLED_RUNNING", PRICE),
    "failure": ("FAILED", "INFRASTRUCTURE_ERROR", 0),
}


async def race(house, video_id, *ends):
    async def cancel():
        try:
            await house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=video_id), metadata=house.mine)
        except grpc.aio.AioRpcError:
            return False
        return True

    how = {
        "success": lambda: house.publish(video_id),
        "cancel": cancel,
        "failure": lambda: house.fail(video_id, errors.GENERATION_FAILED(attempts=1)),
    }
    return await asyncio.gather(*(how[end]() for end in ends))


@pytest.mark.parametrize("ends", [("success", "cancel"), ("cancel", "success"), ("failure", "cancel", "success")])
async def test_of_all_that_would_end_a_video_one_wins_and_decides_the_money(house, ends):
    for _ in range(3):
        video = await house.create()
        await house.start(video.id)
        won = await race(house, video.id, *ends)
        assert won.count(True) == 1
        state, outcome, price = ENDS[ends[won.index(True)]]
        await house.runner.run_due()
        async with house.database.transaction() as session:
            row = await store.get(session, video.id)
        assert (row.state, row.outcome, row.price_micros) == (state, outcome, price)
    assert await house.cashier.bank.violations() == []
    assert (await house.cashier.bank.wallet(rpc.ORGANIZATION)).open_videos == 0
    staged = [row for row in await house.rows(FileRow) if row.state == "STAGING"]
    made = [row for row in await house.rows(VideoRow) if row.output]
    assert len(staged) + len(made) == 3


OUTCOMES = {
    "SUCCEEDED": 100, "MODERATED_BEFORE": 0, "MODERATED_AFTER": 0, "CANCELLED_QUEUED": 0, "CANCELLED_RUNNING": 100,
    "INFRASTRUCTURE_ERROR": 0, "DEADLINE_PASSED": 0,
}  # fmt: skip


@pytest.mark.parametrize(("outcome", "percent"), OUTCOMES.items())
async def test_each_row_of_the_outcome_table_is_charged_as_published(house, outcome, percent):
    video = await house.create()
    if outcome in ("CANCELLED_RUNNING", "SUCCEEDED", "MODERATED_AFTER"):
        await house.start(video.id)
    if outcome == "SUCCEEDED":
        await house.publish(video.id)
    elif outcome.startswith("CANCELLED"):
        await house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=video.id), metadata=house.mine)
    elif outcome == "DEADLINE_PASSED":
        house.clock.advance(3601)
    else:
        async with house.database.transaction() as session:
            refused = errors.CONTENT_REFUSED(category="x")
            await store.end(session, video.id, "FAILED", outcome, now=house.clock.now(), error=refused)
    await house.runner.run_due()
    await house.runner.run_due()
    settled = await house.get(video.id)
    wanted = "CAPTURED" if percent else "RELEASED"
    assert videos_pb2.Video.Settlement.Name(settled.settlement) == wanted
    assert settled.price.nanos == PRICE * 1000 * percent // 100
    assert (await house.cashier.bank.wallet(rpc.ORGANIZATION)).held.nanos == 0
    [row] = await house.rows(VideoRow)
    assert row.outcome == outcome


async def test_settling_twice_charges_once_and_writes_once(house):
    video = await house.create()
    await house.start(video.id)
    await house.publish(video.id)
    settled = [await house.cashier.billing.capture(video.id, "SUCCEEDED") for _ in range(2)]
    assert settled[0] == settled[1]
    await house.runner.run_due()
    async with house.database.transaction() as session:
        assert not await store.settled(session, video.id, "RELEASED", 0)
    moved = (await house.cashier.bank.transactions(rpc.ORGANIZATION)).transactions
    assert [row.video for row in moved].count(video.id) == 1


async def test_a_settle_job_waits_for_billing_however_long(house):
    video = await house.create()
    await house.start(video.id)
    await house.publish(video.id)
    await house.cashier.stop()
    for _ in range(4):
        await house.runner.run_due()
        house.clock.advance(100)
    assert (await house.get(video.id)).settlement == videos_pb2.Video.PENDING
    again = VideoJobs(house.database, await house.cashier.start(), house.clock, house.rules.retention)
    assert await Runner(house.database, again.handlers(), clock=house.clock, name="again").run_due() == 1
    assert (await house.get(video.id)).settlement == videos_pb2.Video.CAPTURED


async def test_a_later_attempt_takes_over_and_fences_the_earlier(house):
    video = await house.create()
    first = await house.start(video.id, attempt=1)
    house.clock.advance(40)
    second = await house.start(video.id, attempt=2)
    assert (second.start_time, second.attempt, second.state) == (first.start_time, 2, "RUNNING")
    assert await house.start(video.id, attempt=1) is None
    async with house.database.transaction() as session:
        assert not await store.progress(session, video.id, 50, "GENERATING", 1)
        assert not await store.is_running(session, video.id, 1)
        assert await store.is_running(session, video.id, 2)
        assert await store.progress(session, video.id, 50, "GENERATING", 2)
    assert not await house.publish(video.id, attempt=1)
    assert await house.publish(video.id, attempt=2)


async def test_progress_never_falls_and_is_a_hundred_only_with_success(house):
    video = await house.create()
    await house.start(video.id)
    seen = []
    for percent in (10, 40, 20, 100, -5):
        async with house.database.transaction() as session:
            assert await store.progress(session, video.id, percent, "ENCODING", 1)
        seen.append((await house.get(video.id)).progress_percent)
    assert seen == [10, 40, 40, 99, 99]
    await house.start(video.id, attempt=2)
    assert (await house.get(video.id)).progress_percent == 99


async def test_a_video_past_its_start_deadline_does_not_start_and_ends_uncharged(house):
    deadline = house.clock.now() + datetime.timedelta(minutes=5)
    video = await house.create(start_deadline=deadline)
    house.clock.advance(301)
    assert await house.start(video.id) is None
    await house.runner.run_due()
    await house.runner.run_due()
    ended = await house.get(video.id)
    assert (ended.state, ended.error.code) == (videos_pb2.Video.FAILED, 4)
    assert ended.settlement == videos_pb2.Video.RELEASED


async def test_a_worker_whose_clock_is_behind_does_not_lose_a_start_deadline(house):
    video = await house.create(start_deadline=house.clock.now() + datetime.timedelta(minutes=5))
    house.clock.advance(301)
    async with house.database.transaction() as session:
        await jobs.promote(session, [store.START_DEADLINE], house.clock)
    behind = FakeClock(house.clock.now() - datetime.timedelta(seconds=2))
    slow = VideoJobs(house.database, house.cashier.billing, behind, house.rules.retention)
    assert await Runner(house.database, slow.handlers(), clock=behind).run_due() == 1
    assert (await house.get(video.id)).state == videos_pb2.Video.QUEUED
    house.clock.advance(2)
    await house.runner.run_due()
    assert (await house.get(video.id)).state == videos_pb2.Video.FAILED
    assert (await house.counts())[2] == 0


async def test_a_video_that_has_started_is_not_ended_by_its_start_deadline(house):
    video = await house.create()
    await house.start(video.id)
    house.clock.advance(3601)
    await house.runner.run_due()
    async with house.database.transaction() as session:
        late = errors.START_DEADLINE_PASSED()
        assert not await store.expire_start(session, video.id, house.clock.now(), late)
    assert (await house.get(video.id)).state == videos_pb2.Video.RUNNING


async def test_start_and_deadline_at_once_have_one_winner(house):
    video = await house.create()

    async def start():
        return await house.start(video.id) is not None

    async def expire():
        async with house.database.transaction() as session:
            moment = house.clock.now() + datetime.timedelta(hours=2)
            return await store.expire_start(session, video.id, moment, errors.START_DEADLINE_PASSED())

    assert (await asyncio.gather(start(), expire())).count(True) == 1


async def test_an_ended_video_starts_no_more(house):
    video = await house.create()
    await house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=video.id), metadata=house.mine)
    assert await house.start(video.id) is None


async def test_the_queue_is_shared_between_payers(house):
    mine = [await house.create() for _ in range(3)]
    theirs = await house.videos.CreateVideo(videos_pb2.CreateVideoRequest(**ORDER), metadata=stranger())
    places = [(await house.get(video.id)).queue.position for video in mine]
    assert places == [0, 2, 3]
    assert theirs.queue.position == 1


async def test_the_tables_are_what_the_migration_makes(house):
    """Every column of the rows exists with its nullability, and every index by its name."""

    def compare(connection):
        inspector = sa.inspect(connection)
        for table in databases.tables_of("generation"):
            found = {row["name"]: row["nullable"] for row in inspector.get_columns(table.name)}
            assert found == {column.name: column.nullable for column in table.columns}, table.name
            named = {row["name"] for row in inspector.get_indexes(table.name)}
            assert {index.name for index in table.indexes} <= named, table.name

    async with house.database.engine.connect() as connection:
        await connection.run_sync(compare)

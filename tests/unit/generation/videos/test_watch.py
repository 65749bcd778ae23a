"""Watching: the present state, then changes, heartbeats, and an end that says what it is. The clock and the feed's
reads are in the test's hands."""

import asyncio

import pytest
import sqlalchemy as sa

from filmgate.generation.v1 import videos_pb2
from services.generation import errors
from services.generation.videos import store
from services.generation.videos.watch import MAX_PER_OWNER
from tests.support.generation import PRICE
from tests.support.waiting import until

State = videos_pb2.Video.State


@pytest.fixture
async def watch(house):
    """Open a watch; returns an object whose `next` reads the feed until an event comes."""
    opened = []

    def begin(video_id, after=0):
        call = house.videos.WatchVideo(
            videos_pb2.WatchVideoRequest(id=video_id, after_sequence=after), metadata=house.mine
        )
        watched = Watched(house, call)
        opened.append(watched)
        return watched

    yield begin
    for watched in opened:
        watched.call.cancel()


class Watched:
    def __init__(self, house, call):
        self.house, self.call = house, call

    async def next(self):
        """The next event, None at the end of the stream."""
        event = asyncio.ensure_future(self.call.read())

        async def done():
            await self.house.feed.read()
            return event.done()

        await until(done, pause=0.01)
        return event.result() or None


async def progress(house, video_id, percent, stage="GENERATING"):
    async with house.database.transaction() as session:
        return await store.progress(session, video_id, percent, stage, 1)


async def test_a_watch_follows_a_video_to_its_settled_end(house, watch):
    video = await house.create()
    watched = watch(video.id)
    events = [await watched.next()]
    await house.start(video.id)
    events.append(await watched.next())
    await progress(house, video.id, 40)
    events.append(await watched.next())
    await house.publish(video.id)
    events.append(await watched.next())
    await house.runner.run_due()
    events.append(await watched.next())
    assert await watched.next() is None
    assert [State.Name(event.video.state) for event in events] == [
        "QUEUED", "RUNNING", "RUNNING", "SUCCEEDED", "SUCCEEDED",
    ]  # fmt: skip
    assert [event.video.progress_percent for event in events] == [0, 0, 40, 100, 100]
    sequences = [event.sequence for event in events]
    assert sequences == sorted(set(sequences))
    assert [event.final for event in events] == [False, False, False, False, True]
    ended, settled = events[3].video, events[4].video
    assert (ended.settlement, settled.settlement) == (videos_pb2.Video.PENDING, videos_pb2.Video.CAPTURED)
    assert ended.price == settled.price
    assert settled.price.nanos == PRICE * 1000
    assert settled == await house.get(video.id)


async def test_a_watch_resumes_after_what_was_seen(house, watch):
    video = await house.create()
    first = await watch(video.id).next()
    resumed = watch(video.id, after=first.sequence)
    await house.start(video.id)
    event = await resumed.next()
    assert event.sequence == first.sequence + 1
    assert State.Name(event.video.state) == "RUNNING"


async def test_a_watch_that_resumes_in_the_future_begins_anew(house, watch):
    video = await house.create()
    watched = watch(video.id, after=1000)
    first = await watched.next()
    await house.start(video.id)
    second = await watched.next()
    assert (first.sequence, second.sequence) == (1, 2)


async def test_a_settled_video_answers_its_final_event_whatever_was_seen(house, watch):
    video = await house.create()
    await house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=video.id), metadata=house.mine)
    await house.runner.run_due()
    for after in (0, 1, 1000):
        watched = watch(video.id, after=after)
        event = await watched.next()
        assert event.final
        assert await watched.next() is None


async def test_silence_is_broken_by_a_heartbeat_every_ten_seconds(house, watch):
    video = await house.create()
    watched = watch(video.id)
    first = await watched.next()
    for _ in range(2):
        house.clock.advance(-3600)  # a host's clock that is set back silences nobody (review B15)
        house.clock.jump(days=40)
        house.clock.advance(10)
        event = await watched.next()
        assert (event.heartbeat, event.sequence, event.HasField("video")) == (True, first.sequence, False)


async def test_after_a_minute_the_watcher_is_asked_to_come_back(house, watch):
    video = await house.create()
    watched = watch(video.id)
    first = await watched.next()
    house.clock.advance(-3600)
    house.clock.advance(60)
    events = [await watched.next(), await watched.next()]
    assert [event.reconnect for event in events] == [False, True]
    assert events[1].sequence == first.sequence
    assert await watched.next() is None


async def test_a_draining_process_asks_all_its_watchers_to_come_back(house, watch):
    watched = [watch((await house.create()).id) for _ in range(3)]
    for one in watched:
        await one.next()
    await house.feed.drain(1)
    for one in watched:
        assert (await one.next()).reconnect
        assert await one.next() is None


async def test_a_deleted_video_ends_its_watches(house, watch):
    video = await house.create()
    watched = watch(video.id)
    await watched.next()
    await house.videos.DeleteVideo(videos_pb2.DeleteVideoRequest(id=video.id), metadata=house.mine)
    assert (await watched.next()).reconnect
    assert await watched.next() is None


async def test_one_watch_too_many_sends_the_owners_oldest_away(house, watch):
    video = await house.create()
    watched = []
    for _ in range(MAX_PER_OWNER + 1):
        watched.append(watch(video.id))
        await watched[-1].next()
    assert (await watched[0].next()).reconnect
    await house.start(video.id)
    for one in (watched[1], watched[-1]):
        assert State.Name((await one.next()).video.state) == "RUNNING"


async def test_all_watchers_are_fed_by_one_read(house, watch):
    video, other = await house.create(), await house.create()
    watched = [watch(video.id), watch(video.id), watch(other.id)]
    for one in watched:
        await one.next()
    reads = []

    def note(_, __, statement, *___):
        if "unnest" in statement:
            reads.append(statement)

    await house.start(video.id)
    sa.event.listen(house.database.engine.sync_engine, "before_cursor_execute", note)
    events = [asyncio.ensure_future(one.call.read()) for one in watched]
    await house.feed.read()
    await asyncio.wait(events[:2])
    assert len(reads) == 1
    assert events[0].result() == events[1].result()
    assert not events[2].done()


async def test_who_hangs_up_is_forgotten(house, watch):
    video = await house.create()
    watched = watch(video.id)
    await watched.next()
    watched.call.cancel()
    while house.feed._watchers:
        await asyncio.sleep(0)
    await house.feed.read()


async def test_a_database_that_stumbles_still_gives_every_watcher_its_turn(house, watch):
    video = await house.create()
    watched = watch(video.id)
    await watched.next()
    house.clock.advance(10)

    def break_off(*_):
        raise ValueError("broken")

    sa.event.listen(house.database.engine.sync_engine, "before_cursor_execute", break_off)
    event = asyncio.ensure_future(watched.call.read())
    with pytest.raises(ValueError, match="broken"):
        await house.feed.read()
    assert (await event).heartbeat
    sa.event.remove(house.database.engine.sync_engine, "before_cursor_execute", break_off)


async def test_an_error_of_a_video_tells_whether_it_is_charged(house, watch):
    video = await house.create()
    await house.start(video.id)
    await house.fail(video.id, errors.LABEL_FAILED())
    event = await watch(video.id).next()
    assert event.video.error.code == 13
    assert b"charged" in event.video.error.details[0].value

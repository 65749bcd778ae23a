"""Polls of many callers: one read serves all who wait, and none sees what was read before they asked."""

import asyncio
import contextlib

import grpc
import pytest

from filmgate.generation.v1 import videos_pb2
from services.generation.videos import store
from services.generation.videos.queue import Queue
from services.generation.videos.reads import Reads
from services.runtime import errors
from tests.support.auth import stop_database
from tests.support.generation import stranger


@pytest.fixture
def counted(house, monkeypatch):
    """Reads, and the videos of each statement that they ran."""
    asked = []
    many = store.many

    async def counting(session, ids):
        asked.append(sorted(ids))
        return await many(session, ids)

    monkeypatch.setattr(store, "many", counting)
    return Reads(house.database, Queue(), house.clock), asked


async def test_who_asks_while_one_reads_shares_the_next(house, counted):
    reads, asked = counted
    videos = sorted([(await house.create()).id for _ in range(3)])
    first = asyncio.create_task(reads.video(videos[0]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(reads.video(video)) for video in videos for _ in range(5)]
    seen = await asyncio.gather(first, *rest)
    assert asked == [videos[:1], videos]
    assert [found.row.id for found in seen] == [videos[0], *(video for video in videos for _ in range(5))]


async def test_no_answer_is_older_than_its_question(house, counted):
    reads, _ = counted
    video = (await house.create()).id
    early = asyncio.create_task(reads.video(video))
    await asyncio.sleep(0)
    await house.start(video)
    assert (await reads.video(video)).row.state == "RUNNING"
    assert (await early).row.state in ("QUEUED", "RUNNING")


async def test_a_caller_who_leaves_takes_nobody_with_him(house, counted):
    reads, _ = counted
    video = (await house.create()).id
    leaving, staying = (asyncio.create_task(reads.video(video)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).row.id == video
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    await reads.drain()


async def test_what_fails_is_told_to_all(house, counted, postgres):
    reads, _ = counted
    video = (await house.create()).id
    stop_database(postgres, house.database)
    answers = await asyncio.gather(*(reads.video(video) for _ in range(3)), return_exceptions=True)
    assert [answer.kind for answer in answers] == [errors.PEER_UNAVAILABLE] * 3


async def test_a_strangers_a_deleted_and_an_unknown_video_are_not_found(house):
    video = (await house.create()).id
    await house.videos.DeleteVideo(videos_pb2.DeleteVideoRequest(id=video), metadata=house.mine)
    other = (await house.create()).id
    for asked, metadata in ((video, house.mine), (other, stranger()), ("vid_none", house.mine)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await house.videos.GetVideo(videos_pb2.GetVideoRequest(id=asked), metadata=metadata)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_without_a_database_a_poll_is_unavailable(house, postgres):
    video = (await house.create()).id
    stop_database(postgres, house.database)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.get(video)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE

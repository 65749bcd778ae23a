"""A long line is read once a second, a short one twenty times; whoever came since is put in their place."""

import datetime

import pytest

from filmgate.generation.v1 import videos_pb2
from services.generation.videos import queue, reads
from services.generation.videos.queue import Queue
from tests.support.generation import ORDER, stranger


class Steady:
    """A steady clock that a test moves, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def look(house, monkeypatch):
    """Looks at places, by a queue of its own for which two videos are a long line already."""
    monkeypatch.setattr(queue, "SHORT", 1)
    monkeypatch.setattr(queue, "SHORT_SECONDS", 0.05)
    steady = Steady()
    line = Queue(steady)

    async def places(*ids: str) -> list[int | None]:
        found = reads.Reads(house.database, line, house.clock)
        seen = [await found.video(video) for video in ids]
        return [row.place.position if row and row.place else None for row in seen]

    places.steady = steady
    return places


async def test_a_long_line_is_as_it_was_a_second_ago(house, look):
    first, second, third = [await house.create() for _ in range(3)]
    assert await look(first.id, second.id, third.id) == [0, 1, 2]
    await house.start(first.id)
    assert await look(first.id, second.id, third.id) == [None, 1, 2]
    look.steady.now += queue.FRESH_SECONDS
    assert await look(first.id, second.id, third.id) == [None, 0, 1]


async def test_who_came_since_has_his_place_among_the_others(house, look):
    first, second = [await house.create() for _ in range(2)]
    assert await look(first.id, second.id) == [0, 1]
    theirs = await house.videos.CreateVideo(house_order(), metadata=stranger())
    mine = await house.create()
    assert await look(theirs.id, mine.id, second.id) == [1, 2, 1]
    look.steady.now += queue.FRESH_SECONDS
    assert await look(theirs.id, mine.id, second.id) == [1, 3, 2]


async def test_a_line_that_has_become_short_is_read_more_often(house, look, monkeypatch):
    monkeypatch.setattr(queue, "SHORT", 2)
    first, second, third = [await house.create() for _ in range(3)]
    assert await look(third.id) == [2]
    await house.start(first.id)
    look.steady.now += queue.FRESH_SECONDS
    assert await look(third.id) == [1]
    await house.start(second.id)
    look.steady.now += queue.SHORT_SECONDS - 0.001
    assert await look(third.id) == [1]
    look.steady.now += 0.002
    assert await look(third.id) == [0]


async def test_a_short_line_is_read_anew_for_who_came_since(house, look, monkeypatch):
    monkeypatch.setattr(queue, "SHORT", 2)
    first, second = [await house.create() for _ in range(2)]
    assert await look(second.id) == [1]
    await house.start(first.id)
    third = await house.create()
    assert await look(third.id, second.id) == [1, 0]


async def test_who_is_cancelled_leaves_the_line_at_once(house, monkeypatch):
    monkeypatch.setattr(queue, "SHORT_SECONDS", 60.0)
    first, second = [await house.create() for _ in range(2)]
    assert (await house.get(second.id)).queue.position == 1
    await house.videos.CancelVideo(videos_pb2.CancelVideoRequest(id=first.id), metadata=house.mine)
    assert (await house.get(second.id)).queue.position == 0


async def test_a_line_is_kept_longer_when_reading_it_takes_long(house, look, monkeypatch):
    first, second = [await house.create() for _ in range(2)]
    capacities = queue.models.capacities

    async def slow(*arguments):
        look.steady.now += 0.5
        return await capacities(*arguments)

    monkeypatch.setattr(queue.models, "capacities", slow)
    assert await look(second.id) == [1]
    await house.start(first.id)
    look.steady.now += queue.TIMES * 0.5 - 0.1
    assert await look(second.id) == [1]
    look.steady.now += 0.2
    assert await look(second.id) == [0]


def house_order():
    return videos_pb2.CreateVideoRequest(**ORDER)


async def test_a_place_tells_when_its_turn_is_likely(house, look):
    await house.create(duration_seconds=4)
    second = await house.create(duration_seconds=4)
    seen = await reads.Reads(house.database, Queue(), house.clock).video(second.id)
    assert seen.place.seconds == datetime.timedelta(seconds=2).total_seconds()

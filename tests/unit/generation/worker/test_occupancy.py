"""Who may run on a server beside whom, and who is to blame when it dies."""

import asyncio

import pytest

from services.generation.worker.occupancy import ServerOccupancy
from tests.support.waiting import steps


class Guest:
    """Somebody who enters a occupancy and stays until sent away."""

    def __init__(self, occupancy: ServerOccupancy, *, alone: bool = False) -> None:
        self.run = None
        self._leave = asyncio.Event()
        self._occupancy, self._alone = occupancy, alone
        self.task = asyncio.create_task(self._stay())

    async def _stay(self):
        async with self._occupancy.enter(alone=self._alone) as self.run:
            await self._leave.wait()

    async def leave(self):
        self._leave.set()
        await self.task


@pytest.fixture
async def occupancy():
    return ServerOccupancy()


async def inside(*guests: Guest) -> list[bool]:
    await steps()
    return [guest.run is not None for guest in guests]


async def test_many_run_beside_each_other(occupancy):
    guests = [Guest(occupancy), Guest(occupancy)]
    assert await inside(*guests) == [True, True]
    for guest in guests:
        await guest.leave()


async def test_who_wants_to_be_alone_waits_and_lets_nobody_in_before(occupancy):
    first = Guest(occupancy)
    await steps()
    suspect, later = Guest(occupancy, alone=True), Guest(occupancy)
    assert await inside(suspect, later) == [False, False]
    await first.leave()
    assert await inside(suspect, later) == [True, False]
    await suspect.leave()
    assert await inside(later) == [True]
    await later.leave()


async def test_two_who_want_to_be_alone_are_one_after_the_other(occupancy):
    one, other = Guest(occupancy, alone=True), Guest(occupancy, alone=True)
    assert await inside(one, other) == [True, False]
    await one.leave()
    assert await inside(other) == [True]
    await other.leave()


async def test_who_gives_up_waiting_keeps_nobody_out(occupancy):
    first = Guest(occupancy)
    await steps()
    suspect, later = Guest(occupancy, alone=True), Guest(occupancy)
    await steps()
    suspect.task.cancel()
    assert await inside(later) == [True]
    for guest in (first, later):
        await guest.leave()


async def test_alone_one_is_to_blame_for_a_server_that_fell(occupancy):
    guest = Guest(occupancy)
    await steps()
    assert occupancy.fell(guest.run)
    await guest.leave()


async def test_together_nobody_is_to_blame_whoever_sees_it_first(occupancy):
    first, second = Guest(occupancy), Guest(occupancy)
    await steps()
    assert not occupancy.fell(first.run)
    await first.leave()
    assert not occupancy.fell(second.run)
    await second.leave()


async def test_a_neighbor_that_left_before_is_no_excuse(occupancy):
    first, second = Guest(occupancy), Guest(occupancy)
    await steps()
    await first.leave()
    assert occupancy.fell(second.run)
    await second.leave()


async def test_a_model_is_loaded_anew_when_all_have_left_and_nobody_enters_meanwhile(occupancy):
    done, order = asyncio.Event(), []

    async def load():
        order.append("load")
        await done.wait()

    dead, neighbor = Guest(occupancy), Guest(occupancy)
    await steps()
    mending = asyncio.create_task(occupancy.mend(dead.run, load))
    later = Guest(occupancy)
    assert await inside(later) == [False]
    assert order == []
    await neighbor.leave()
    assert await inside(later) == [False]
    assert order == ["load"]
    done.set()
    await mending
    assert await inside(later) == [True]
    for guest in (dead, later):
        await guest.leave()


async def test_two_that_died_together_have_it_loaded_once(occupancy):
    loads = []

    async def load():
        loads.append(1)

    guests = [Guest(occupancy), Guest(occupancy)]
    await steps()
    await asyncio.gather(*(occupancy.mend(guest.run, load) for guest in guests))
    assert loads == [1]
    for guest in guests:
        await guest.leave()


async def test_loading_goes_on_when_the_one_who_began_it_is_cancelled(occupancy):
    done, loaded = asyncio.Event(), []

    async def load():
        await done.wait()
        loaded.append(1)

    dead = Guest(occupancy)
    await steps()
    mending = asyncio.create_task(occupancy.mend(dead.run, load))
    await steps()
    mending.cancel()
    await dead.leave()
    later = Guest(occupancy)
    assert await inside(later) == [False]
    done.set()
    assert await inside(later) == [True]
    assert loaded == [1]
    await later.leave()


async def test_a_load_that_fails_lets_the_next_try(occupancy):
    async def fail():
        raise RuntimeError

    dead = Guest(occupancy)
    await steps()
    with pytest.raises(RuntimeError):
        await occupancy.mend(dead.run, fail)
    later = Guest(occupancy)
    assert await inside(later) == [True]
    for guest in (dead, later):
        await guest.leave()


async def test_who_had_to_wait_knows_it(occupancy):
    first = Guest(occupancy)
    await inside(first)
    second = Guest(occupancy, alone=True)
    assert await inside(first, second) == [True, False]
    await first.leave()
    await inside(second)
    assert (first.run.waited, second.run.waited) == (False, True)
    await second.leave()

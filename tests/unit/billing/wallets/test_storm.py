"""Fifty at once on one wallet: never overspent, never more slots than there are, nothing lost."""

import asyncio
import random

import pytest

from filmgate.billing.v1 import wallets_pb2
from services.billing import errors
from services.runtime import ids
from services.runtime.errors import Failure
from tests.support import bank
from tests.support.bank import CNY, micros, order

HELD = wallets_pb2.Hold.HELD
TASKS = 50


async def answers(work):
    """The results of all, refusals by their kind."""
    done = await asyncio.gather(*work, return_exceptions=True)
    assert all(isinstance(answer, wallets_pb2.Hold | Failure) for answer in done), done
    return [answer.kind if isinstance(answer, Failure) else answer for answer in done]


@pytest.fixture
async def house(postgres, clock):
    async with bank.bank(postgres, clock, open_videos=1000) as opened:
        yield opened
        assert await opened.violations() == []


async def test_the_money_is_spent_exactly(house, clock):
    customer = ids.new("org")
    for _ in range(3):
        await house.give(customer, 3_500_000)
    found = await answers(house.authorize(order(customer, clock)) for _ in range(TASKS))
    assert found.count(errors.BALANCE_TOO_LOW) == TASKS - 21, "10.50 CNY are 21 videos"
    wallet = await house.wallet(customer)
    assert (micros(wallet.available), micros(wallet.held), wallet.open_videos) == (0, 10_500_000, 21)


async def test_the_slots_are_taken_exactly(postgres, clock):
    async with bank.bank(postgres, clock, open_videos=7) as house:
        customer = ids.new("org")
        await house.give(customer, 1000 * CNY)
        found = await answers(house.authorize(order(customer, clock)) for _ in range(TASKS))
        assert found.count(errors.TOO_MANY_OPEN_VIDEOS) == TASKS - 7
        assert (await house.wallet(customer)).open_videos == 7
        assert await house.violations() == []


async def test_one_request_fifty_times_is_one_hold(house, clock):
    customer = ids.new("org")
    await house.give(customer, CNY)
    request = order(customer, clock)
    found = await answers(house.authorize(request) for _ in range(TASKS))
    assert {hold.id for hold in found} == {found[0].id}
    assert (await house.wallet(customer)).open_videos == 1


async def test_one_end_fifty_times_charges_once(house, clock):
    customer = ids.new("org")
    await house.give(customer, CNY)
    video = (await house.authorize(order(customer, clock))).video
    ends = [house.capture(video) if number % 2 else house.release(video) for number in range(TASKS)]
    found = await answers(ends)
    assert all(hold == found[0] for hold in found)
    assert micros((await house.wallet(customer)).available) == CNY - micros(found[0].charged)


async def test_an_end_that_meets_its_authorize_ends_it(house, clock):
    """Whichever comes first: the hold is not left open, and the end never answers that it is."""
    customer = ids.new("org")
    await house.give(customer, 100 * CNY)
    requests = [order(customer, clock) for _ in range(TASKS)]
    pairs = [work for request in requests for work in (house.authorize(request), house.release(request.video))]
    found = await answers(pairs)
    assert all(hold.state == wallets_pb2.Hold.RELEASED for hold in found[1::2])
    assert (await house.wallet(customer)).open_videos == 0


class Interrupted:
    """A session in which something else happens right after its first statement."""

    def __init__(self, session, meanwhile):
        self._session, self._meanwhile = session, [meanwhile]

    async def execute(self, *arguments):
        found = await self._session.execute(*arguments)
        while self._meanwhile:
            await self._meanwhile.pop()
        return found


@pytest.mark.parametrize("outcome", [None, "SUCCEEDED"])
async def test_a_hold_that_is_made_between_two_looks_is_ended(house, clock, outcome):
    """The end finds no open hold, then the Authorize commits, then the end looks for a recorded end."""
    request = order(ids.new("org"), clock)
    await house.give(request.organization, CNY)
    async with house.database.transaction() as session:
        interrupted = Interrupted(session, house.authorize(request))
        ended = await house.ledger.end(interrupted, request.video, outcome, clock.now())
    assert ended.state == ("CAPTURED" if outcome else "RELEASED")
    assert (await house.wallet(request.organization)).open_videos == 0


async def test_two_wallets_cannot_hold_for_one_video(house, clock):
    customers = [ids.new("org") for _ in range(8)]
    for customer in customers:
        await house.give(customer, CNY)
    video = ids.new("vid")
    found = await answers(house.authorize(order(customer, clock, video=video)) for customer in customers)
    assert found.count(errors.HOLD_DIFFERS) == 7
    assert sum([(await house.wallet(customer)).open_videos for customer in customers]) == 1


async def test_everything_at_once(house, clock):
    """Whole lives of videos, with late duplicates, on two wallets with lots that end in the middle of it."""
    chance = random.Random(7)  # noqa: S311  an order, not a secret
    customers = [ids.new("org") for _ in range(2)]
    for customer in customers:
        for seconds in (60, 60, None):
            await house.give(customer, 4 * CNY, seconds=seconds)

    async def life(number: int) -> int:
        request = order(customers[number % 2], clock)
        try:
            await house.authorize(request)
        except Failure as refused:
            return 0 if refused.kind is errors.BALANCE_TOO_LOW else -1
        if number == TASKS // 2:
            clock.advance(60)
        if number % 5 == 0:
            await house.sweep.sweep()
        ends = [
            house.capture(request.video, "SUCCEEDED" if number % 3 else "MODERATED_AFTER"),
            house.release(request.video),
            house.authorize(request),
        ]
        chance.shuffle(ends)
        found = await asyncio.gather(*ends)
        charged = {micros(hold.charged) for hold in found if hold.state != HELD}
        assert len(charged) == 1
        if number % 7 == 0:
            assert await house.violations() == []
        return charged.pop()

    charged = await asyncio.gather(*(life(number) for number in range(TASKS)))
    await house.sweep.sweep()
    for place, customer in enumerate(customers):
        wallet = await house.wallet(customer)
        lines = (await house.transactions(customer, page_size=200)).transactions
        spent = -sum(micros(line.amount) for line in lines if line.kind == wallets_pb2.Transaction.CHARGE)
        assert spent == sum(charged[place::2])
        assert (micros(wallet.held), wallet.open_videos) == (0, 0)
        assert micros(wallet.available) == sum(micros(line.amount) for line in lines)

"""Who is given a decoder when many want one: one to an organization, the least spent first, none without a budget."""

import asyncio
import contextlib

import pytest

from services.generation.media.turns import Turns
from services.runtime.errors import Failure


class Crowd:
    """Organizations that want turns; `order` tells in what order they got theirs."""

    def __init__(self, decoders=2, waiting=8, budget=30.0):
        self.moment, self.order, self.ends = 0.0, [], {}
        self.turns = Turns(decoders, waiting, budget, lambda: self.moment)

    def wants(self, organization, seconds=0.0):
        """Begin to want a turn that costs so many seconds; the task ends with the turn."""

        async def work():
            async with self.turns.turn(organization) as charge:
                self.order.append(organization)
                end = self.ends.setdefault(organization, asyncio.Event())
                await end.wait()
                end.clear()
                charge(seconds)

        return asyncio.create_task(work())

    async def end(self, organization, task):
        self.ends[organization].set()
        await task

    async def spend(self, organization, seconds):
        async with self.turns.turn(organization) as charge:
            charge(seconds)


async def settle():
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def crowd(**options):
    made = Crowd(**options)
    before = asyncio.all_tasks()
    yield made
    for task in asyncio.all_tasks() - before:
        task.cancel()


async def test_an_organization_has_one_decoder_however_many_are_free():
    async with crowd(decoders=4) as one:
        first = one.wants("a")
        one.wants("a"), one.wants("b")
        await settle()
        assert one.order == ["a", "b"]
        await one.end("a", first)
        await settle()
        assert one.order == ["a", "b", "a"]


async def test_who_comes_goes_before_the_second_turns_of_two_crowds():
    """Review S4: 8 pictures each of two attackers are there already."""
    async with crowd() as one:
        tasks = {name: [one.wants(name, 2.0) for _ in range(8)] for name in ("a", "b")}
        await settle()
        victim = one.wants("victim", 0.1)
        await settle()
        assert one.order == ["a", "b"]
        await one.end("b", tasks["b"][0])
        await settle()
        assert one.order == ["a", "b", "victim"]
        await one.end("victim", victim)


async def test_among_equals_turns_go_round():
    async with crowd(decoders=1) as one:
        tasks = {name: [one.wants(name) for _ in range(3)] for name in "abc"}
        for _ in range(8):
            await settle()
            last = one.order[-1]
            await one.end(last, tasks[last].pop(0))
        await settle()
        assert "".join(one.order) == "abcabcabc"


async def test_who_spent_less_goes_first():
    async with crowd(decoders=1) as one:
        await one.spend("heavy", 20)
        await one.spend("light", 1)
        running = one.wants("other")
        await settle()
        one.moment += 60  # the budgets are whole again
        one.wants("heavy"), one.wants("light"), one.wants("new")
        await settle()
        await one.end("other", running)
        await settle()
        assert one.order == ["other", "new"]
    async with crowd(decoders=1) as one:
        await one.spend("heavy", 20)
        await one.spend("light", 1)
        running = one.wants("other")
        await settle()
        one.moment += 60
        one.wants("heavy"), one.wants("light")
        await settle()
        await one.end("other", running)
        await settle()
        assert one.order == ["other", "light"]


async def test_who_has_waited_longest_is_passed_over_once():
    async with crowd(decoders=1) as one:
        await one.spend("heavy", 20)
        tasks = {"a": one.wants("a")}
        await settle()
        tasks |= {name: one.wants(name) for name in ("heavy", "b", "c", "d")}
        for _ in range(4):
            await settle()
            last = one.order[-1]
            await one.end(last, tasks[last])
        await settle()
        assert one.order == ["a", "b", "heavy", "c", "d"]


@pytest.mark.parametrize("attackers", [6, 20, 100])
@pytest.mark.parametrize("used", [20, 60])
async def test_new_accounts_hold_a_customer_who_has_used_much_back_for_one_round(attackers, used):
    """Each attacker is new and has 8 pictures of 3 s waiting; with the order of use alone each had 7 or 20 turns."""
    async with crowd() as one:
        await one.spend("customer", used / 2)
        one.moment += 60
        await one.spend("customer", used / 2)
        one.moment += 60
        names = [f"attacker_{number}" for number in range(attackers)]
        tasks = {name: [one.wants(name, 3) for _ in range(8)] for name in names}
        one.wants("customer")
        await settle()
        for turn in range(attackers):  # of the two that run the first to begin ends first
            one.moment += 1.5
            name = one.order[turn]
            await one.end(name, tasks[name].pop(0))
            tasks[name].append(one.wants(name, 3))
            await settle()
        assert one.order == [*names, names[0], "customer"]


@pytest.mark.parametrize("attackers", [1, 6, 20])
@pytest.mark.parametrize("pause", [0, 300, 1800], ids=["at once", "after 5 minutes", "after half an hour"])
async def test_a_newcomer_is_served_at_the_next_free_decoder(attackers, pause):
    """Review S4: attackers whose budgets are whole again wait already, 8 pictures each, when a newcomer comes."""
    async with crowd() as one:
        names = [f"attacker_{number}" for number in range(attackers)]
        for name in names:
            await one.spend(name, 3)
        one.moment += pause
        tasks = {name: [one.wants(name, 3) for _ in range(8)] for name in names}
        await settle()
        running = list(one.order)
        assert len(running) == min(2, attackers)
        newcomer = one.wants("newcomer", 0.1)
        await settle()
        if attackers > 1:
            assert one.order == running
            await one.end(running[0], tasks[running[0]][0])
            await settle()
        assert one.order[len(running)] == "newcomer"
        await one.end("newcomer", newcomer)


@pytest.mark.parametrize("attackers", [4, 6, 20])
async def test_a_customer_waits_for_one_turn_through_minutes_of_attack(attackers):
    """Six attackers on two decoders spend 20 s in a minute each and get 30 s back: their budgets are always whole."""
    async with crowd() as one:
        names = [f"attacker_{number}" for number in range(attackers)]
        tasks = {name: [one.wants(name, 3) for _ in range(8)] for name in names}
        await settle()
        for _ in range(5):
            for _ in range(20):  # a minute: both turns last 3 s, and who has had one wants the next
                running = one.order[-2:]
                one.moment += 3
                for name in running:
                    await one.end(name, tasks[name].pop(0))
                    tasks[name].append(one.wants(name, 3))
                await settle()
            running = one.order[-2:]
            customer = one.wants("customer", 0.1)
            await settle()
            assert one.order[-2:] == running
            await one.end(running[0], tasks[running[0]].pop(0))
            tasks[running[0]].append(one.wants(running[0], 3))
            await settle()
            assert one.order[-1] == "customer"
            await one.end("customer", customer)
            await settle()
            one.order.remove("customer")


async def test_a_budget_is_kept_and_comes_back():
    async with crowd() as one:
        await one.spend("a", 29)
        await one.spend("a", 4)
        with pytest.raises(Failure) as refused:
            await one.spend("a", 1)
        assert (refused.value.kind.reason, refused.value.metadata) == ("DECODING_SPENT", {"limit": "30"})
        assert refused.value.retry_after == pytest.approx(6.0)  # 3 s too many, at half a second a second
        await one.spend("b", 1)
        one.moment += 5.9
        with pytest.raises(Failure):
            await one.spend("a", 1)
        one.moment += 0.2
        await one.spend("a", 1)


async def test_what_waits_is_held_to_the_budget_too():
    async with crowd() as one:
        first, second = one.wants("a", 31.0), one.wants("a")
        await settle()
        await one.end("a", first)
        with pytest.raises(Failure, match="Try again later"):
            await second
        assert one.order == ["a"]


async def test_the_queue_of_an_organization_is_bounded():
    async with crowd(waiting=3) as one:
        for _ in range(4):
            one.wants("a")
        await settle()
        with pytest.raises(Failure) as refused:
            await one.wants("a")
        assert (refused.value.kind.reason, refused.value.retry_after) == ("TOO_MANY_TRANSFERS", 1)
        one.wants("b")
        await settle()
        assert one.order == ["a", "b"]


async def test_who_gives_up_leaves_no_gap():
    async with crowd(decoders=1) as one:
        running, waiting = one.wants("a"), one.wants("b")
        one.wants("c")
        await settle()
        waiting.cancel()
        await settle()
        await one.end("a", running)
        await settle()
        assert one.order == ["a", "c"]


async def test_a_turn_that_comes_too_late_is_passed_on():
    async with crowd(decoders=1) as one:
        async with one.turns.turn("a"):
            late = one.wants("b")
            await settle()
        late.cancel()  # b has been given the turn and does not know yet
        await settle()
        assert late.cancelled()
        async with asyncio.timeout(30):
            await one.spend("c", 1)
        assert one.order == []


async def test_a_decoder_that_fails_gives_its_turn_back():
    async with crowd(decoders=1) as one:
        for _ in range(3):
            with pytest.raises(ValueError, match="no picture"):
                async with one.turns.turn("a"):
                    raise ValueError("no picture")
        await one.spend("b", 1)


async def test_organizations_that_have_theirs_back_are_forgotten():
    async with crowd() as one:
        for number in range(1000):
            await one.spend(f"org_{number}", 1)
        assert one.turns.known == 1000
        one.moment += 2000  # 1 s has become 0.1 s
        await one.spend("late", 1)
        assert one.turns.known == 1001
        one.moment += 700  # and 0.04 s
        await one.spend("last", 1)
        assert one.turns.known == 2


async def test_who_goes_in_the_moment_in_which_a_turn_ends_takes_no_decoder_along():
    async with crowd(decoders=1) as one:
        first, going = one.wants("a"), one.wants("b")
        await settle()
        one.ends["a"].set()
        going.cancel()  # in the same round of the loop: b's place in the queue is still there
        await settle()
        assert first.exception() is None
        assert going.cancelled()
        one.wants("c")
        await settle()
        assert one.order == ["a", "c"]

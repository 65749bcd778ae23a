"""The faults. Each begins, lasts as its dice say, and ends: a function that returns when the fault is over.

What was killed comes back by the supervisor, so such a fault is over at once.
"""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable

from tests.faults.chaos.load import Load
from tests.faults.chaos.stage import Stage, signal_all
from tests.faults.conftest import LEASE
from tests.support import poison

Fault = Callable[[Stage, Load, random.Random], Awaitable[None]]
PROCESSES = ("worker", "triton", "auth", "billing", "generation", "privacy", "media", "envoy")
HANG_SECONDS = 17.0  # longer than a stream stays open to a server that answers no ping
KINDS: dict[str, Fault] = {}
SECOND = {"take-worker"}
"""Kinds that need the second worker."""
TWICE = {"hang-triton", "two"}
"""Kinds in which a video may meet two crashes without being a poison: a Triton that hung may die when it wakes."""


def _kind(name: str) -> Callable[[Fault], Fault]:
    def add(act: Fault) -> Fault:
        KINDS[name] = act
        return act

    return add


def patience(dice: random.Random) -> float:
    """Draw how long something is frozen: well below a lease, or beyond it."""
    return dice.choice([dice.uniform(0.2, 0.7 * LEASE), dice.uniform(1.2 * LEASE, 1.7 * LEASE)])


def _killing(name: str) -> Fault:
    async def kill(stage: Stage, load: Load, dice: random.Random) -> None:
        stage.processes[name].kill()

    return kill


def _freezing(name: str) -> Fault:
    async def freeze(stage: Stage, load: Load, dice: random.Random) -> None:
        process = stage.processes[name]
        process.stop()
        try:
            await asyncio.sleep(patience(dice))
        finally:
            process.cont()

    return freeze


for _name in PROCESSES:
    KINDS[f"kill-{_name}"], KINDS[f"freeze-{_name}"] = _killing(_name), _freezing(_name)


@_kind("drain-worker")
async def drain_worker(stage: Stage, load: Load, dice: random.Random) -> None:
    """SIGTERM: what it holds is finished or handed back."""
    stage.processes["worker"].terminate()


@_kind("drain-generation")
async def drain_generation(stage: Stage, load: Load, dice: random.Random) -> None:
    """SIGTERM of a service: the orders on their way are finished."""
    stage.processes["generation"].terminate()


@_kind("kill-stub")
async def kill_stub(stage: Stage, load: Load, dice: random.Random) -> None:
    """kill -9 of the model's process under a living server."""
    signal_all(stage.stubs(), signal.SIGKILL)


@_kind("freeze-stub")
async def freeze_stub(stage: Stage, load: Load, dice: random.Random) -> None:
    """SIGSTOP of the model's process."""
    await _frozen(stage.stubs(), dice)


@_kind("kill-postgres")
async def kill_postgres(stage: Stage, load: Load, dice: random.Random) -> None:
    """kill -9 of the first process; its children notice."""
    signal_all(stage.postgres()[:1], signal.SIGKILL)


@_kind("kill-postgres-child")
async def kill_postgres_child(stage: Stage, load: Load, dice: random.Random) -> None:
    """kill -9 of one child: PostgreSQL throws all sessions out and recovers."""
    signal_all([dice.choice(stage.postgres()[1:])], signal.SIGKILL)


@_kind("freeze-postgres")
async def freeze_postgres(stage: Stage, load: Load, dice: random.Random) -> None:
    """SIGSTOP of all of PostgreSQL."""
    await _frozen(stage.postgres(), dice)


@_kind("smart-postgres")
async def smart_postgres(stage: Stage, load: Load, dice: random.Random) -> None:
    """A smart shutdown, which lets nobody in and waits for the sessions; then a fast one, as an operator does."""
    signal_all(stage.postgres()[:1], signal.SIGTERM)
    await asyncio.sleep(dice.uniform(0.5, 4))
    signal_all(stage.postgres()[:1], signal.SIGINT)


@_kind("fast-postgres")
async def fast_postgres(stage: Stage, load: Load, dice: random.Random) -> None:
    """A fast shutdown: open transactions are rolled back."""
    signal_all(stage.postgres()[:1], signal.SIGINT)


@_kind("immediate-postgres")
async def immediate_postgres(stage: Stage, load: Load, dice: random.Random) -> None:
    """An immediate shutdown: recovery from the log."""
    signal_all(stage.postgres()[:1], signal.SIGQUIT)


@_kind("full-disk")
async def full_disk(stage: Stage, load: Load, dice: random.Random) -> None:
    """No space for objects."""
    stage.disk.fill()
    try:
        await asyncio.sleep(dice.uniform(1, 6))
    finally:
        stage.disk.free()


@_kind("slow-billing")
async def slow_billing(stage: Stage, load: Load, dice: random.Random) -> None:
    """Billing is slow, then cannot be reached at all."""
    longest = dice.choice([0.3, 3.0])
    stage.proxy.slow(lambda: dice.uniform(0.05, longest))
    try:
        await asyncio.sleep(dice.uniform(1, 4))
        await stage.proxy.down()
        await asyncio.sleep(dice.uniform(0.5, 3))
    finally:
        await stage.proxy.down()
        await stage.proxy.up()


@_kind("take-worker")
async def take_worker(stage: Stage, load: Load, dice: random.Random) -> None:
    """A worker that makes a video is frozen until another has taken the video over; then it wakes."""
    process = stage.processes[await stage.holder()]
    process.stop()
    try:
        await asyncio.sleep(dice.uniform(1.2 * LEASE, 2 * LEASE))
    finally:
        process.cont()


@_kind("poison")
async def take_poison(stage: Stage, load: Load, dice: random.Random) -> None:
    """A customer orders what kills the model's process, or the whole server."""
    await load.poison(dice.choice([poison.MODEL, poison.SERVER]))


@_kind("hang-triton")
async def hang_triton(stage: Stage, load: Load, dice: random.Random) -> None:
    """Triton hangs for longer than a stream to it stays open."""
    process = stage.processes["triton"]
    process.stop()
    try:
        await asyncio.sleep(HANG_SECONDS)
    finally:
        process.cont()


@_kind("two")
async def two(stage: Stage, load: Load, dice: random.Random) -> None:
    """Two faults at once, of two parts."""
    first, second = dice.sample(PROCESSES, 2)
    how = [dice.choice(["kill", "freeze"]) for _ in range(2)]
    later = dice.uniform(0, 1.5)

    async def begin(kind: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await KINDS[kind](stage, load, dice)

    await asyncio.gather(begin(f"{how[0]}-{first}", 0), begin(f"{how[1]}-{second}", later))


async def _frozen(numbers: list[int], dice: random.Random) -> None:
    signal_all(numbers, signal.SIGSTOP)
    try:
        await asyncio.sleep(patience(dice))
    finally:
        signal_all(numbers, signal.SIGCONT)

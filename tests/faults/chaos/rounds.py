"""One round: the load goes on, a fault comes and goes, the suite recovers, and everything is checked."""

import asyncio
import collections
import dataclasses
import json
import logging
import random
import time
from typing import Any

from tests.faults.chaos.checks import Checks
from tests.faults.chaos.kinds import KINDS, SECOND, TWICE
from tests.faults.chaos.load import Load
from tests.faults.chaos.stage import Stage

BEFORE_SECONDS = (0.3, 2.5)
RECOVERY_SECONDS = 90.0
POISONED = ("FAILED", "GENERATION_FAILED", {"attempts": "2"})
log = logging.getLogger(__name__)


@dataclasses.dataclass
class Round:
    """What came of one round. Times in seconds from the end of the fault: until a video ordered after it was made,
    and until every part was ready again."""

    seed: int
    kind: str
    fault_seconds: float = 0.0
    recovery_seconds: float = 0.0
    ready_seconds: float = 0.0
    orders: int = 0
    outcomes: dict[str, int] = dataclasses.field(default_factory=dict)
    attempts: dict[int, int] = dataclasses.field(default_factory=dict)
    refused: dict[str, int] = dataclasses.field(default_factory=dict)
    steps: list[str] = dataclasses.field(default_factory=list)
    violations: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def command(self) -> str:
        """How to see it again."""
        return f"make chaos ROUNDS=1 SEED={self.seed} KIND={self.kind}"


async def play(stage: Stage, load: Load, kind: str, seed: int) -> Round:
    """Play a round; everything that is drawn is drawn from `seed`. What cannot go on is a violation too."""
    began, found = time.monotonic(), Round(seed, kind)
    try:
        await _play(stage, load, found)
    except Exception as fault:
        found.violations.append(f"the round could not be played: {type(fault).__name__}: {fault}")
        log.exception("round %s", found.command)
    found.seconds = time.monotonic() - began
    return found


async def _play(stage: Stage, load: Load, found: Round) -> None:
    kind, dice = found.kind, random.Random(found.seed)  # noqa: S311  no secret
    await load.open()
    if kind in SECOND:
        await stage.call_second()
    load.start(dice)
    await asyncio.sleep(dice.uniform(*BEFORE_SECONDS))
    hit = time.monotonic()
    stage.say(f"{found.command} begins")
    await KINDS[kind](stage, load, dice)
    found.fault_seconds = time.monotonic() - hit
    stage.say(f"the fault is over after {found.fault_seconds:.3f} s")
    await _recover(stage, load, found)
    stage.say(f"a video was made after {found.recovery_seconds:.3f} s, all was ready after {found.ready_seconds:.3f} s")
    await load.stop()
    stage.say("the load has stopped")
    found.violations += load.faults
    faults, videos = await Checks(stage).all(load, dice)
    stage.say(f"all is checked: {len(faults)} violations")
    found.violations += faults
    if kind in SECOND:
        await stage.dismiss()
    _tell(found, load, videos)
    found.steps = sorted(stage.recorder.seen)


async def _recover(stage: Stage, load: Load, found: Round) -> None:
    """Time both recoveries, which go on beside each other."""
    over = time.monotonic()

    async def made() -> None:
        await load.probe()
        found.recovery_seconds = time.monotonic() - over

    async def ready() -> None:
        await stage.until_ready(RECOVERY_SECONDS)
        found.ready_seconds = time.monotonic() - over

    try:
        async with asyncio.timeout(RECOVERY_SECONDS), asyncio.TaskGroup() as both:
            both.create_task(made())
            both.create_task(ready())
    except* TimeoutError as late:
        found.violations += [f"it did not recover: {fault}" for fault in late.exceptions]


def _tell(found: Round, load: Load, videos: dict[str, dict[str, Any]]) -> None:
    """What became of the round's orders. A video fails only where a fault explains it."""
    found.orders, found.refused = len(load.orders), dict(load.refused)
    found.outcomes = dict(collections.Counter(str(row["outcome"]) for row in videos.values()))
    found.attempts = dict(collections.Counter(int(row["attempt"]) for row in videos.values()))
    poisoned = {order.video for order in load.orders if "poison" in order.body["prompt"]}
    for id_, row in videos.items():
        how = (row["state"], row["error_reason"], json.loads(row["error_metadata"] or "null"))
        if id_ in poisoned and how != POISONED:
            found.violations.append(f"the poison {id_} ended as {how}")
        if row["state"] == "FAILED" and id_ not in poisoned and found.kind not in TWICE:
            found.violations.append(f"{id_} failed after {row['attempt']} attempts, and nothing here explains it")

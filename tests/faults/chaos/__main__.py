"""`make chaos ROUNDS=200 [SEED=n] [KIND=...]`: random faults, one round after another, and a report at the end.

Round number i has the seed SEED + i, which alone decides what is drawn in it.
"""

import argparse
import asyncio
import random
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from tests.faults.chaos import report
from tests.faults.chaos.kinds import KINDS
from tests.faults.chaos.load import Load
from tests.faults.chaos.rounds import Round, play
from tests.faults.chaos.stage import Stage
from tests.support import disk

REPORT = Path(".filmgate/chaos.json")
SEEDS = 10**6
SHOWN = 12


def main() -> int:
    """Play the rounds; answers 1 when anything was violated."""
    read = argparse.ArgumentParser(prog="make chaos")
    read.add_argument("--rounds", type=int, default=30)
    read.add_argument("--seed", type=int, default=None)
    read.add_argument("--kinds", default="", help="comma-separated; default all")
    read.add_argument("--report", type=Path, default=REPORT)
    chosen = read.parse_args()
    disk.own_namespace()
    seed = secrets.randbelow(SEEDS) if chosen.seed is None else chosen.seed
    kinds = [kind for kind in chosen.kinds.split(",") if kind] or list(KINDS)
    if unknown := set(kinds) - set(KINDS):
        print(f"There is no fault {', '.join(sorted(unknown))}. There are: {', '.join(KINDS)}")
        return 2
    print(f"Seed {seed}, {chosen.rounds} rounds of {len(kinds)} kinds of faults", flush=True)
    rounds = asyncio.run(_play_all(seed, _plan(seed, kinds, chosen.rounds)))
    told = report.summary(seed, rounds)
    report.write(chosen.report, told)
    print(report.table(told))
    return 1 if told["violations"] or len(rounds) < chosen.rounds else 0


def _plan(seed: int, kinds: list[str], rounds: int) -> list[str]:
    """All kinds in a random order, again and again."""
    dice, plan = random.Random(seed), []  # noqa: S311  no secret
    while len(plan) < rounds:
        plan += dice.sample(kinds, len(kinds))
    return plan[:rounds]


async def _play_all(seed: int, plan: list[str]) -> list[Round]:
    """Play on one suite; after a violation on a fresh one, and the home of the old one is kept."""
    rounds: list[Round] = []
    while len(rounds) < len(plan):
        folder = Path(tempfile.mkdtemp(prefix="filmgate-chaos-"))
        stage = Stage(folder)
        await stage.start()
        load = Load(stage.suite.url, stage.suite.outbox, random.Random(seed))  # noqa: S311  no secret
        try:
            while len(rounds) < len(plan):
                number = len(rounds)
                rounds.append(await play(stage, load, plan[number], seed + number))
                _say(len(rounds), len(plan), rounds[-1], stage)
                if rounds[-1].violations:
                    break
        finally:
            await load.close()
            await stage.stop()
        if rounds and rounds[-1].violations:
            print(f"  the logs are in {stage.home / 'logs'}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return rounds


def _say(number: int, of: int, found: Round, stage: Stage) -> None:
    print(
        f"{number:>4}/{of} {found.kind:<20} seed {found.seed}  fault {found.fault_seconds:5.1f} s"
        f"  video {found.recovery_seconds:5.1f} s  ready {found.ready_seconds:5.1f} s  orders {found.orders:>3}"
        f"  {found.outcomes}  round {found.seconds:4.0f} s",
        flush=True,
    )
    for violation in found.violations[:SHOWN]:
        print(f"     VIOLATION {violation}", flush=True)
    if found.violations:
        print(f"     {len(found.violations)} violations; to see them again: {found.command}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

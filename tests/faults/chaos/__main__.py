"""`make chaos ROUNDS=200 [SEED=n] [KIND=...] [STAGES=2]`: random faults, round after round, and a report at the end.

Round number i has the seed SEED + i, which alone decides what is drawn in it. With several stages as many suites are
harmed beside each other, each by a process of its own.
"""

import argparse
import asyncio
import dataclasses
import json
import random
import secrets
import shutil
import subprocess
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
Plan = list[tuple[int, int, str]]
"""Number, seed and kind of each round."""


def main() -> int:
    """Play the rounds; returns 1 when anything was violated or left out."""
    chosen = _arguments()
    seed = secrets.randbelow(SEEDS) if chosen.seed is None else chosen.seed
    kinds = [kind for kind in chosen.kinds.split(",") if kind] or list(KINDS)
    if unknown := set(kinds) - set(KINDS):
        print(f"There is no fault {', '.join(sorted(unknown))}. There are: {', '.join(KINDS)}")
        return 2
    plan = _plan(seed, kinds, chosen.rounds)
    if chosen.stage is not None:
        disk.own_namespace()
        rounds = asyncio.run(_play_all(plan[chosen.stage :: chosen.stages], len(plan)))
        chosen.report.write_text(json.dumps([dataclasses.asdict(found) for found in rounds]))
        return 0
    print(f"Seed {seed}, {chosen.rounds} rounds of {len(kinds)} kinds of faults", flush=True)
    told = report.summary(seed, _on_stages(seed, chosen))
    report.write(chosen.report, told)
    print(report.table(told))
    return 1 if told["violations"] or told["rounds"] < chosen.rounds else 0


def _arguments() -> argparse.Namespace:
    read = argparse.ArgumentParser(prog="make chaos")
    read.add_argument("--rounds", type=int, default=30)
    read.add_argument("--seed", type=int, default=None)
    read.add_argument("--kinds", default="", help="comma-separated; default all")
    read.add_argument("--stages", type=int, default=1, help="suites beside each other")
    read.add_argument("--stage", type=int, default=None, help="play only what falls to this one")
    read.add_argument("--report", type=Path, default=REPORT)
    return read.parse_args()


def _plan(seed: int, kinds: list[str], rounds: int) -> Plan:
    """All kinds in a random order, again and again."""
    dice, drawn = random.Random(seed), []  # noqa: S311  no secret
    while len(drawn) < rounds:
        drawn += dice.sample(kinds, len(kinds))
    return [(number + 1, seed + number, kind) for number, kind in enumerate(drawn[:rounds])]


def _on_stages(seed: int, chosen: argparse.Namespace) -> list[Round]:
    """Have each stage play its share in a process of its own; returns all rounds in their order."""
    with tempfile.TemporaryDirectory() as folder:
        reports = [Path(folder) / f"{stage}.json" for stage in range(chosen.stages)]
        command = [sys.executable, "-m", "tests.faults.chaos", "--rounds", str(chosen.rounds), "--seed", str(seed)]
        command += ["--kinds", chosen.kinds, "--stages", str(chosen.stages)]
        shares = [[*command, "--stage", str(stage), "--report", str(path)] for stage, path in enumerate(reports)]
        for playing in [subprocess.Popen(share) for share in shares]:
            playing.wait()
        found = [Round(**row) for path in reports if path.exists() for row in json.loads(path.read_text())]
    return sorted(found, key=lambda one: one.seed)


async def _play_all(plan: Plan, of: int) -> list[Round]:
    """Play on one suite; after a violation on a fresh one, and the home of the old one is kept."""
    rounds: list[Round] = []
    while len(rounds) < len(plan):
        folder = Path(tempfile.mkdtemp(prefix="filmgate-chaos-"))
        stage = Stage(folder)
        await stage.start()
        load = Load(stage.suite.url, stage.suite.outbox, random.Random(plan[0][1]))  # noqa: S311  no secret
        sound = True
        try:
            while sound and len(rounds) < len(plan):
                number, seed, kind = plan[len(rounds)]
                rounds.append(await play(stage, load, kind, seed))
                sound = not rounds[-1].violations
                _say(number, of, rounds[-1])
        finally:
            await load.close()
            await stage.stop()
        if sound:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"     the logs are in {stage.home / 'logs'}", flush=True)
    return rounds


def _say(number: int, of: int, found: Round) -> None:
    lines = [
        f"{number:>4}/{of} {found.kind:<20} seed {found.seed}  fault {found.fault_seconds:5.1f} s"
        f"  video {found.recovery_seconds:5.1f} s  ready {found.ready_seconds:5.1f} s  orders {found.orders:>3}"
        f"  {found.outcomes}  round {found.seconds:4.0f} s"
    ]
    lines += [f"     VIOLATION {violation}" for violation in found.violations[:SHOWN]]
    if found.violations:
        lines.append(f"     {len(found.violations)} violations; to see them again: {found.command}")
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    sys.exit(main())

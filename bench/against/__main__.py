"""`python -m bench.against COMMIT`: both commits in turns, and what a request costs now beside then.

The suites of both commits run side by side, each from its own files; the cases of one pair are played on both, one
suite after the other, in the order A B, B A, and so on. Both are started several times, since a process keeps what its
start gave it: of four starts of the same two commits, the poll of one looked 6 percent dearer, of another 5 cheaper.
And the turns are short, since a shared machine is by half slower in one second than in another.
Exit status 1 when a case is more than 5 percent dearer than before.
"""

import argparse
import asyncio
import dataclasses
import functools
import json
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

from bench import machine
from bench.against import cases, checkout, verdict
from bench.against.names import Unknown
from bench.against.side import Side, running
from bench.load import Failed
from bench.stage import HOME
from deploy.local.config import ROOT
from deploy.local.files import write_private

RESULT = HOME.parent / "against.json"
Turns = dict[str, dict[str, list[verdict.Seen]]]


async def measure(folder: Path, starts: int, pairs: int, seconds: float) -> Turns:
    """Play all cases on both sides in turns, in pairs of each start; returns what was seen, by side and case."""
    seen: Turns = {"before": {}, "after": {}}
    for number, order in enumerate(verdict.turns(starts), 1):
        print(f"start {number}", flush=True)
        roots = {"before": folder, "after": ROOT}
        await _measure({name: roots[name] for name in order}, pairs, seconds, seen)
    return seen


async def _measure(roots: dict[str, Path], pairs: int, seconds: float, seen: Turns) -> None:
    """Start both sides in this order, play, and add what was seen."""
    timed = {name: functools.partial(getattr(cases, name), seconds=seconds) for name in TIMED}
    whole = {"life": cases.life, "download": timed.pop("download"), "upload": cases.upload}
    queued = {"poll": timed["poll"], "list": timed["listing"], "wallet": timed["wallet"], "submit": timed["submit"]}
    queued |= {"hold": cases.hold, "capture": cases.capture}
    async with AsyncExitStack() as stack:
        sides = {}
        for name, root in roots.items():
            sides[name] = await stack.enter_async_context(running(name, root))
            await cases.prepare(sides[name])
        await _play(sides, whole, pairs, seen)
        for side in sides.values():
            await side.halt_model()
            await stack.enter_async_context(side.reporting())
        await _play(sides, queued, pairs, seen)


TIMED = ("download", "poll", "listing", "wallet", "submit")
"""The cases that load a side for so many seconds."""


async def _play(sides: dict[str, Side], played: dict[str, cases.Case], pairs: int, seen: Turns) -> None:
    """Play the cases of a phase: once to warm up, which does not count, then in so many pairs."""
    for side in sides.values():
        for case in played.values():
            await case(side)
    for number, order in enumerate(verdict.turns(pairs), 1):
        for name, case in played.items():
            for side in order:
                seen[side].setdefault(name, []).append(await case(sides[side]))
        told = (f"{name} {seen['before'][name][-1].cpu_ms / seen['after'][name][-1].cpu_ms:.3f}" for name in played)
        print(f"  pair {number}: {', '.join(told)}", flush=True)


def tell(seen: Turns, commit: str, took: float) -> int:
    """Print the table, write the figures; returns the exit status."""
    about = machine.described()
    print("\n".join(["", *verdict.table(seen["before"], seen["after"]), ""]))
    print("The ratio is CPU per request before divided by after: 1.0 is equal, 0.95 is 5 percent dearer now.")
    print(f"{commit} against {about['commit']}; {about['machine']}; load {machine.load():.1f}; {took:.0f} s")
    figures = {
        side: {case: [dataclasses.asdict(turn) for turn in turns] for case, turns in found.items()}
        for side, found in seen.items()
    }
    write_private(RESULT, json.dumps({**about, "against": commit, **figures}, indent=1).encode())
    worse = verdict.dearer(seen["before"], seen["after"])
    if worse:
        print(f"Dearer by more than 5 percent: {', '.join(worse)}.")
    return 1 if worse else 0


def main() -> int:
    """Read the command line, measure, print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.against", description=__doc__)
    parser.add_argument("commit", help="what to measure against, as git names it")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=8, help="of each start")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each case that is played at full speed")
    chosen, began = parser.parse_args(), time.monotonic()
    try:
        folder = checkout.prepare(chosen.commit)
        seen = asyncio.run(measure(folder, chosen.starts, chosen.pairs, chosen.seconds))
    except (checkout.Missing, Failed, Unknown, RuntimeError) as fault:
        print(f"The benchmark could not run: {fault}", file=sys.stderr)
        return 2
    return tell(seen, chosen.commit, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())

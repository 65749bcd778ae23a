"""`python -m bench`: measures the suite on this machine and writes .filmgate/bench.json; see docs/bench.md."""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

from bench import edge, figures, ledger, machine, revocation, start, videos
from bench.load import Failed
from bench.stage import HOME, fresh_home, stage, without_model
from deploy.local import ports
from deploy.local.files import write_private
from deploy.local.suite import SuiteError

RESULT = HOME.parent / "bench.json"
SPLITS = (
    ("floor_cpu", "ms", "CPU of an empty RPC, ms"),
    ("poll_cpu", "ms", "CPU of a status poll, ms"),
    ("submit_cpu", "ms", "CPU of a submit, ms"),
    ("overhead", "ms", "Beside Triton's own time, ms"),
    ("task_life_cpu", "ms", "CPU of a life, ms"),
    ("rest", "mib", "Memory at rest, MiB"),
)


async def measure(rounds: int, seconds: float, samples: int) -> figures.Figures:
    """Measure everything; returns all figures by key. `samples` bounds what is done one by one."""
    began, before = time.perf_counter(), machine.load()
    found: figures.Figures = {**machine.described(), "rounds": rounds, "load_before": before}
    chosen = ports.free()
    with fresh_home() as home:
        async with stage(home, chosen) as made:
            _say("Whole videos")
            found |= await videos.measure(made, min(7, samples), min(15, samples), min(6, samples))
            _say("Revocations")
            found |= await revocation.measure(made, samples)
            async with without_model(made):
                _say("Calls through the edge")
                found |= await edge.measure(made, rounds, seconds, _say)
                _say("The ledger")
                found |= await ledger.measure(made, rounds, seconds)
        _say("Starts")
        found |= await start.measure(home, chosen, min(3, rounds))
    return found | {"load_after": machine.load(), "took_s": time.perf_counter() - began}


def write(found: figures.Figures, path: Path = RESULT) -> None:
    """Write the figures as JSON, one key a line. Raises ValueError when one that must be there is not."""
    if gaps := figures.missing(found):
        raise ValueError(f"these figures are missing: {', '.join(gaps)}")
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in found.items()}
    write_private(path, json.dumps(rounded, indent=1).encode())


def tell(found: figures.Figures) -> None:
    """Print the table, and what some figures are made of."""
    print("\n".join(["", *figures.table(found), ""]))
    for prefix, unit, title in SPLITS:
        print(f"{title}: {figures.split(found, prefix, unit)}")
    loads = f"load {found['load_before']:.1f} before, {found['load_after']:.1f} after"
    print(f"\n{found['machine']}; {loads}")
    print(f"Commit {found['commit']}; {found['rounds']} rounds in {found['took_s']:.0f} s")


def main() -> int:
    """Read the command line, measure, print and write; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each case in a round")
    parser.add_argument("--samples", type=int, default=200, help="revocations; bounds what is done one by one")
    chosen = parser.parse_args()
    try:
        found = asyncio.run(measure(chosen.rounds, chosen.seconds, chosen.samples))
    except (Failed, SuiteError) as fault:
        print(f"The benchmark could not run: {fault}", file=sys.stderr)
        return 1
    write(found)
    tell(found)
    print(f"All figures: {RESULT}")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())

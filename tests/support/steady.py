"""`make test-steady [TIMES=10 SHARD=1/4 PATHS=tests/e2e]`: each test that waits, again and again, with both cores busy.

A test that fails even once is named. Two workers a core play, so that each test has others beside it, and a loop of the
lowest priority fills each core when they wait. The suites of tests/e2e and tests/faults are started once a worker.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNS = ("tests/unit tests/integration tests/protocol", "tests/e2e", "tests/faults")
BUSY = "import os; os.nice(19)\nwhile True: pass"
CORES = os.cpu_count() or 2
WORKERS = 2 * CORES
TEST_SECONDS = 300
"""One repetition may take so long: the machine has half a core for each worker."""


def main() -> int:
    """Play everything; returns 1 when a test failed, or when pytest itself did."""
    read = argparse.ArgumentParser(prog="make test-steady")
    read.add_argument("--times", type=int, default=10)
    read.add_argument("--shard", default="1/1", help="which part of the files, as 1/4")
    read.add_argument("paths", nargs="*", help="default: everything but tests/wan")
    chosen = read.parse_args()
    played, failed, broken = [], {}, []
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(CORES)]
    try:
        for paths in [" ".join(chosen.paths)] if chosen.paths else RUNS:
            (names, faults), status = _run(paths.split(), chosen.times, chosen.shard)
            played += names
            failed |= faults
            if status not in (0, 1, 5):
                broken.append(paths)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    print("\n".join(["", *played]))
    print(f"{len(played)} tests, {chosen.times} times each, with {WORKERS} workers on {CORES} cores")
    print("\n".join(f"failed {count} of {chosen.times}: {node}" for node, count in failed.items()) or "None failed.")
    print("\n".join(f"pytest broke off: {paths}" for paths in broken), end="\n" if broken else "")
    return 1 if failed or broken or not played else 0


def _run(paths: list[str], times: int, shard: str) -> tuple[tuple[list[str], dict[str, int]], int]:
    """Have pytest play the tests below some paths; returns what was played, how often which failed, its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.repeat", "-n", str(WORKERS)]
        command += ["--dist", "loadfile", "-o", f"timeout={TEST_SECONDS * times}", "--times", str(times)]
        command += ["--shard", shard, "--repeat-notes", folder, *paths]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        told = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))]
    failed: dict[str, int] = {}
    for notes in told:
        for node, count in notes["failed"].items():
            failed[node] = failed.get(node, 0) + count
    return (told[0]["played"] if told else [], failed), status


if __name__ == "__main__":
    sys.exit(main())

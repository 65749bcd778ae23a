"""`make test-steady [TIMES=10 SHARD=1/4 PATHS=tests/e2e]`: each test that waits, again and again, with both cores busy.

A test that fails even once is named. The suites of tests/e2e and tests/faults are started once for all repetitions.
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
BUSY = "while True: pass"
TEST_SECONDS = 300
"""One repetition may take so long: the machine has half its cores for each."""


def main() -> int:
    """Play everything; returns 1 when a test failed, or when pytest itself did."""
    read = argparse.ArgumentParser(prog="make test-steady")
    read.add_argument("--times", type=int, default=10)
    read.add_argument("--shard", default="1/1", help="which part of the files, as 1/4")
    read.add_argument("paths", nargs="*", help="default: everything but tests/wan")
    chosen = read.parse_args()
    played, failed, broken = [], {}, []
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(os.cpu_count() or 2)]
    try:
        for paths in [" ".join(chosen.paths)] if chosen.paths else RUNS:
            notes, status = _run(paths.split(), chosen.times, chosen.shard)
            played += notes["played"]
            failed |= notes["failed"]
            if status not in (0, 1, 5):
                broken.append(paths)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    print("\n".join(["", *played, f"{len(played)} tests, {chosen.times} times each, with {len(busy)} cores busy"]))
    print("\n".join(f"failed {count} of {chosen.times}: {node}" for node, count in failed.items()) or "None failed.")
    print("\n".join(f"pytest broke off: {paths}" for paths in broken), end="\n" if broken else "")
    return 1 if failed or broken or not played else 0


def _run(paths: list[str], times: int, shard: str) -> tuple[dict, int]:
    """Have pytest play the tests below some paths; returns its notes and its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.repeat", "-o"]
        command += [f"timeout={TEST_SECONDS * times}", "--times", str(times), "--shard", shard]
        status = subprocess.run([*command, "--repeat-notes", str(notes), *paths], cwd=ROOT, check=False).returncode
        told = json.loads(notes.read_text()) if notes.exists() else {"played": [], "failed": {}}
    return told, status


if __name__ == "__main__":
    sys.exit(main())

"""Runs mutants: each in a scratch copy of the working tree, against the tests that bear its ids."""

import collections
import concurrent.futures
import dataclasses
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.promises import notes
from tests.promises.clauses import ROOT, Mark
from tests.promises.mutants import Mutant, needs_suite, tests_of

COPIES = 2
"""Runs at once: a run waits as much as it works."""
RUN_SECONDS = 600
INTERRUPTED = 2
"""pytest's exit status when it could not even collect."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one mutant: by id, `red`, `green` or `invalid`, and what was seen."""

    mutant: Mutant
    outcomes: dict[str, tuple[str, str]]
    seconds: float


class Copy:
    """A scratch copy of the working tree, generated code included; the environments are the tree's own, by symlink."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        self._home = folder
        self._running: subprocess.Popen[bytes] | None = None
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True, text=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name, follow_symlinks=False)
        shutil.copytree(ROOT / "gen", self._home / "gen")
        self._take_back_generated()
        for environment in ROOT.glob(".venv*"):
            if not (self.root / environment.name).exists():
                (self.root / environment.name).symlink_to(environment.resolve())

    def judge(self, mutant: Mutant, marks: Sequence[Mark]) -> Result:
        """Apply a mutant, run the tests that bear its ids, and undo it."""
        began = time.monotonic()
        before = {change.file: (self.root / change.file).read_text(encoding="utf-8") for change in mutant.changes}
        for change in mutant.changes:
            change.apply(self.root)
        self._forget_compiled(before)
        try:
            outcomes = self._outcomes(mutant, tests_of(mutant.ids, marks))
        finally:
            for file, text in before.items():
                (self.root / file).write_text(text, encoding="utf-8")
            self._forget_compiled(before)
            if mutant.regenerates:
                self._take_back_generated()
        return Result(mutant, outcomes, time.monotonic() - began)

    def _outcomes(self, mutant: Mutant, tests: list[str]) -> dict[str, tuple[str, str]]:
        if mutant.regenerates and (said := self._generate()):
            return dict.fromkeys(mutant.ids, ("invalid", f"make protos refuses it: {said}"))
        path = self._home / "verdict.json"
        path.unlink(missing_ok=True)
        environment = {"FILMGATE_MUTANT_IDS": " ".join(mutant.ids), "FILMGATE_MUTANT_VERDICT": str(path)}
        options = ["-q", "-p", "tests.promises.verdict", "-p", "no:schemathesis", f"--basetemp={self._home / 'tests'}"]
        status = self._run([sys.executable, "-m", "pytest", *options, *tests], environment)
        if status == INTERRUPTED or not path.exists():
            return dict.fromkeys(mutant.ids, ("invalid", f"pytest ended with {status}: {self._last_words()}"))
        verdict = json.loads(path.read_text(encoding="utf-8"))
        return {id: _outcome(id, verdict) for id in mutant.ids}

    def _generate(self) -> str:
        """Make the generated code anew; returns the last line of what went wrong."""
        status = self._run([sys.executable, "-m", "deploy.protos"], {})
        return "" if status == 0 else self._last_words()

    def _take_back_generated(self) -> None:
        """Put back the generated code of the tree, which takes a tenth of the time of making it anew."""
        shutil.rmtree(self.root / "gen", ignore_errors=True)
        shutil.copytree(self._home / "gen", self.root / "gen")

    def _last_words(self) -> str:
        return (self._home / "out.txt").read_text(encoding="utf-8").strip()[-300:]

    def _run(self, command: list[str], environment: dict[str, str]) -> int:
        """Run a command in the copy, its words in out.txt; one that takes too long is ended with its children."""
        given = {**os.environ, "PYTHONPATH": ".:gen", **environment}
        with (self._home / "out.txt").open("w", encoding="utf-8") as out:
            self._running = subprocess.Popen(
                command, cwd=self.root, env=given, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                return self._running.wait(RUN_SECONDS)
            except subprocess.TimeoutExpired:
                self.stop()
                return self._running.wait()

    def stop(self) -> None:
        """End what runs, with its children: a suite's processes die with the one that started them."""
        if self._running is not None and self._running.poll() is None:
            os.killpg(self._running.pid, signal.SIGKILL)

    def _forget_compiled(self, files: Iterable[str]) -> None:
        """Two versions of one length, written within one second, look the same to Python's cache."""
        for path in (self.root / file for file in files):
            for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
                compiled.unlink()


def _outcome(id: str, verdict: dict) -> tuple[str, str]:
    if id in verdict["red"]:
        return "red", verdict["red"][id]
    if odd := verdict["odd"].get(id) or verdict["odd"].get("collection"):
        return "invalid", odd
    return ("green", f"{verdict['ran']} tests ran") if verdict["ran"] else ("invalid", "no test ran")


def run(mutants: Sequence[Mutant], marks: Sequence[Mark], say: Callable[[Result], None]) -> list[Result]:
    """Judge all mutants, so many at once as there are copies; `say` hears of each as it ends, and it is noted.

    Those that need a suite come last, and one copy begins with them: two suites at once would wait for each other.
    """
    results: list[Result] = []
    commit = _commit()
    waiting = collections.deque(sorted(mutants, key=lambda mutant: needs_suite(mutant, marks)))
    with tempfile.TemporaryDirectory(prefix="filmgate-mutants-") as folder:
        copies = [_copy(Path(folder) / str(number)) for number in range(min(COPIES, len(mutants)))]
        free: queue.Queue[tuple[Copy, Callable[[], Mutant]]] = queue.Queue()
        for copy, take in zip(copies, itertools.cycle((waiting.popleft, waiting.pop))):
            free.put((copy, take))

        def judge() -> Result:
            copy, take = free.get()
            try:
                return copy.judge(take(), marks)
            finally:
                free.put((copy, take))

        with concurrent.futures.ThreadPoolExecutor(COPIES) as pool:
            try:
                for future in concurrent.futures.as_completed([pool.submit(judge) for _ in mutants]):
                    results.append(future.result())
                    say(results[-1])
                    note(results[-1], commit)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for copy in copies:
                    copy.stop()
                raise
    return results


def _copy(folder: Path) -> Copy:
    folder.mkdir()
    return Copy(folder)


def note(result: Result, commit: str, root: Path = ROOT) -> None:
    """Write a result to `.filmgate/promises-mutants.json`: by id and mutant, the outcome, the test and the commit."""
    known = notes.load(root / notes.MUTANTS)
    for id, (outcome, seen) in result.outcomes.items():
        row = {"mutant": result.mutant.name, "outcome": outcome, "seen": seen, "commit": commit}
        known[id] = {**known.get(id, {}), result.mutant.digest: row}
    notes.write(root / notes.MUTANTS, dict(sorted(known.items())))


def _commit() -> str:
    """The commit of the working tree, with a plus when there are changes on top of it."""
    words = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, check=True, text=True).stdout.strip()

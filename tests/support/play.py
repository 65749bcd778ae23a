"""`python -m tests.support.play test|long|all|note`: plays a tier, and ends with the seconds of each folder.

While pytest works this process measures, with a fixed piece of work each second, how slow the machine is at that time;
a folder's seconds are divided by it before they are held against its line. `note` writes the seconds of the last runs
into tests/tiers.yaml: only after a run on the quick machine with nothing beside.
"""

import contextlib
import dataclasses
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import yaml

from tests.support import tiers
from tests.support.pace import probe
from tests.support.tiers import Part, Plan, Tier

PLAYED = tiers.ROOT / ".filmgate" / "tiers.json"
"""What the last run of each tier took."""
PAUSE_SECONDS = 1.0
NO_TESTS = 5
"""pytest's exit status when everything was left out."""
TURN = {"test": "mine", "long": "all", "all": "all"}


@dataclasses.dataclass
class Played:
    """What came of a part: pytest's status, seconds and milliseconds of the probe, and what its notes say."""

    part: Part
    status: int
    seconds: float
    probe: float
    files: dict[str, dict[str, float]]
    groups: dict[str, float]
    left_out: list[str]

    @property
    def slowness(self) -> float:
        """How many times slower than in the notes; never below 1, since much of some folders is waiting."""
        return max(1.0, self.probe / self.part.probe)

    def folders(self) -> dict[str, tuple[int, float]]:
        """Return tests and seconds by listed folder; what no folder holds stands under its file's name."""
        found = dict.fromkeys(self.part.folders, (0, 0.0))
        for file, row in self.files.items():
            name = self.part.folder(file) or file
            tests, seconds = found.get(name, (0, 0.0))
            found[name] = (tests + int(row["tests"]), seconds + row["seconds"] / self.slowness)
        return found


def main(words: list[str]) -> int:
    """Play the tier that is named; returns 1 when a test failed or a folder is over its line."""
    plan = tiers.read()
    if words == ["note"]:
        return note(plan)
    began, tier = time.monotonic(), words[0]
    played = [play(part, TURN[tier]) for part in plan.parts(tier, tiers.commit_number())]
    told, sound = table(plan, played)
    lines = [*told, *_end(plan, tier, time.monotonic() - began), *_left_out(plan, tier, played)]
    sys.stdout.write("\n".join(["", *lines, ""]))
    PLAYED.parent.mkdir(mode=0o700, exist_ok=True)
    earlier = json.loads(PLAYED.read_text()) if PLAYED.exists() else {}
    PLAYED.write_text(json.dumps(earlier | {row.part.name: _kept(row) for row in played}))
    failed = [row.part.name for row in played if row.status not in (0, NO_TESTS)]
    if failed:
        sys.stdout.write(f"Failed: {', '.join(failed)}\n")
    return 0 if sound and not failed else 1


def _names(tier: str) -> tuple[str, ...]:
    return ("test", "long") if tier == "all" else (tier,)


def play(part: Part, turn: str) -> Played:
    """Play a part with pytest, and measure the machine meanwhile. An argument `--turn` of the part goes before."""
    notes = tiers.ROOT / ".filmgate" / f"tier-{part.name}.json"
    notes.parent.mkdir(mode=0o700, exist_ok=True)
    notes.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "--turn", turn, "--tier-notes", str(notes), *part.arguments]
    sys.stdout.write(f"\n{part.name}: pytest {' '.join(part.arguments)}\n")
    sys.stdout.flush()
    began, probes = time.monotonic(), [probe()]
    playing = subprocess.Popen(command, cwd=tiers.ROOT)
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            playing.wait(PAUSE_SECONDS)
            break
        probes.append(probe())
    found = json.loads(notes.read_text()) if notes.exists() else {"files": {}, "groups": {}, "left_out": []}
    notes.unlink(missing_ok=True)
    seconds = time.monotonic() - began
    return Played(part, playing.returncode, seconds, statistics.fmean(probes), **found)


def table(plan: Plan, played: list[Played]) -> tuple[list[str], bool]:
    """Write the table of folders and groups, and say whether each is below its line."""
    rows = [("folder", "tests", "seconds", "line", "")]
    for run in played:
        for name, (tests, seconds) in run.folders().items():
            if not run.part.folders or not tests:
                continue  # what was left out before has lines of its own, those of its groups
            limit = tiers.line(run.part.folders[name]) if name in run.part.folders else 0.0
            rows.append((name, str(tests), f"{seconds:.0f}", f"{limit:.0f}", _verdict(seconds, limit)))
    for group, noted in plan.groups.items():
        seconds = sum(run.groups.get(group, 0.0) / run.slowness for run in played)
        limit = tiers.line(noted)
        if not seconds:
            continue
        rows.append((f"group {group}", "", f"{seconds:.0f}", f"{limit:.0f}", _verdict(seconds, limit)))
    width = max(len(row[0]) for row in rows)
    lines = [f"{row[0]:<{width}} {row[1]:>6} {row[2]:>8} {row[3]:>6}  {row[4]}".rstrip() for row in rows]
    lines += [f"{run.part.name}: {run.seconds:.0f} s, {run.slowness:.2f} times slower than noted" for run in played]
    return lines, not any(row[4] for row in rows)


def _verdict(seconds: float, limit: float) -> str:
    if not limit:
        return "NO LINE: list it in tests/tiers.yaml"
    return "OVER ITS LINE" if seconds > limit else ""


def _end(plan: Plan, tier: str, seconds: float) -> list[str]:
    own: list[Tier] = [plan.tiers[name] for name in _names(tier)]
    quick, slow = sum(row.quick for row in own), sum(row.slow for row in own)
    return [
        f"{tier}: {seconds / 60:.1f} minutes of tests; the tier may take {quick:.0f} on quick cores, {slow:.0f} on slow"
    ]


def _left_out(plan: Plan, tier: str, played: list[Played]) -> list[str]:
    commit = tiers.commit_number()
    if tier != "test":
        return []
    if commit is None:
        return ["Nothing is left out: this clone has no history to count a turn by."]
    names = [f"group {name}" for name in plan.left_out(commit)] + [name for run in played for name in run.left_out]
    told = ", ".join(names) or "nothing"
    return [f"Left out at commit {commit} (each plays at every {tiers.TURNS}th, and in make test-long): {told}"]


def _kept(row: Played) -> dict:
    folders = {name: seconds for name, (tests, seconds) in row.folders().items() if tests}
    return {"probe": row.probe, "folders": folders, "groups": row.groups}


def note(plan: Plan) -> int:
    """Write the seconds of the last runs into tests/tiers.yaml, for the parts and groups that were played."""
    last = json.loads(PLAYED.read_text())
    written = yaml.safe_load(tiers.FILE.read_text())
    for tier in written["tiers"].values():
        for name, part in tier["parts"].items():
            if name in last:
                part["probe"] = round(last[name]["probe"], 1)
                part["folders"] |= {key: round(value) or 1 for key, value in last[name]["folders"].items()}
    for group in written["groups"]:
        seconds = sum(row["groups"].get(group, 0.0) for row in last.values())
        written["groups"][group] = round(seconds) or written["groups"][group]
    head = "".join(line for line in Path(tiers.FILE).read_text().splitlines(True) if line.startswith("#"))
    tiers.FILE.write_text(head + yaml.safe_dump(written, sort_keys=False, width=118))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

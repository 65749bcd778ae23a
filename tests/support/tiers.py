"""Tiers of tests: what one command plays, how long it may take, and whose turn it is.

`tests/tiers.yaml` holds the seconds that each folder and each group took on two quick cores with nothing beside. From
them alone follows which groups rotate, so that every clone of one commit plays the same.
"""

import dataclasses
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "tests" / "tiers.yaml"
TURNS = 4
"""A group that rotates plays at every fourth commit."""
LINE_FACTOR, LINE_SECONDS = 1.75, 15.0
"""A line is so many times the noted seconds, and so many more: a folder that outgrew it needs a new note, a slow minute
does not."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One run of pytest: its arguments, the tests that it plays at once, and its folders with their noted seconds."""

    name: str
    arguments: tuple[str, ...]
    workers: int
    probe: float
    """Milliseconds that the fixed piece of work took beside this part on the quick machine."""
    folders: Mapping[str, float]
    """None of the part that plays the groups that another part left out."""
    whole: str = ""
    """The part that plays all of a table of which this one plays a share: it stands in where no commit is known."""

    @property
    def seconds(self) -> float:
        """How long it takes by the notes."""
        return sum(self.folders.values()) / self.workers

    def folder(self, node: str) -> str:
        """Return the longest listed folder (or file) that holds a test; empty when none does."""
        path = node.split("::", maxsplit=1)[0]
        holding = [name for name in self.folders if path == name or path.startswith(f"{name}/")]
        return max(holding, key=len, default="")


@dataclasses.dataclass(frozen=True)
class Tier:
    """What one command plays. Minutes are limits, on two quick cores and on two slow ones; `beside` is in seconds."""

    name: str
    quick: float
    slow: float
    beside: float
    """What the command does beside its tests: lint, and what an environment takes to be made."""
    parts: tuple[Part, ...]

    @property
    def seconds(self) -> float:
        """How long everything in it takes by the notes."""
        return self.beside + sum(part.seconds for part in self.parts)


@dataclasses.dataclass(frozen=True)
class Plan:
    """The whole file."""

    tiers: Mapping[str, Tier]
    groups: Mapping[str, float]
    everything: tuple[str, ...]
    """The names of the parts that together play every test, and none twice."""

    def parts(self, command: str, commit: int | None) -> list[Part]:
        """Return what a command plays, `test`, `long` or `all`, less what would play no test at all."""
        known = {part.name: part for tier in self.tiers.values() for part in tier.parts}
        if command == "all":
            return [known[name] for name in self.everything]
        parts = [part for part in self.tiers[command].parts if part.folders or self.left_out(commit)]
        return parts if commit is not None else [known.get(part.whole, part) for part in parts]

    def rotating(self) -> list[str]:
        """Return the groups that rotate in `make test`: the longest, until the rest fits. None while all fit."""
        tier, found = self.tiers["test"], []
        seconds = tier.seconds
        for group in sorted(self.groups, key=lambda name: (-self.groups[name], name)):
            if seconds <= tier.quick * 60:
                break
            found.append(group)
            seconds -= self.groups[group] / 2 * (TURNS - 1) / TURNS
        return found

    def left_out(self, commit: int | None) -> list[str]:
        """Return the groups that `make test` leaves out at the commit of this number; none when it is not known."""
        return [group for group in self.rotating() if group not in share(self.rotating(), commit)]


def line(seconds: float) -> float:
    """Return the most seconds that what is noted with `seconds` may take."""
    return seconds * LINE_FACTOR + LINE_SECONDS


def share(names: Sequence[str], commit: int | None) -> list[str]:
    """Return the names whose turn it is: a fourth of them, each at one of four commits; all without a number."""
    return [name for place, name in enumerate(names) if commit is None or place % TURNS == commit % TURNS]


def commit_number(folder: Path = ROOT) -> int | None:
    """Return how many commits lead to this one; None outside of git and in a clone without its history."""

    def git(*words: str) -> str:
        command = ["git", "-c", "safe.directory=*", *words]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if git("rev-parse", "--is-shallow-repository") != "false":
            return None
        return int(git("rev-list", "--count", "HEAD"))
    except (OSError, subprocess.CalledProcessError):
        return None


def read(path: Path = FILE) -> Plan:
    """Read the file. Raises KeyError, TypeError and ValueError where it is not as it must be."""
    written = yaml.safe_load(path.read_text())
    tiers = {name: _tier(name, row) for name, row in written["tiers"].items()}
    groups = {name: float(seconds) for name, seconds in written["groups"].items()}
    return Plan(tiers, groups, tuple(written["everything"]))


def _tier(name: str, row: dict[str, Any]) -> Tier:
    parts = tuple(_part(key, part) for key, part in row["parts"].items())
    return Tier(name, float(row["minutes"]["quick"]), float(row["minutes"]["slow"]), float(row["beside"]), parts)


def _part(name: str, row: dict[str, Any]) -> Part:
    folders = {folder: float(seconds) for folder, seconds in row["folders"].items()}
    arguments = tuple(row["arguments"].split())
    return Part(name, arguments, int(row["workers"]), float(row["probe"]), folders, row.get("whole", ""))

"""The arithmetic of the benchmark, its aims, and how it writes what it found. Pure."""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

Figures = dict[str, float | str]
REQUIRED = (
    "floor_rps", "poll_rps", "poll_p50_ms", "poll_p99_ms", "submit_rps", "submit_p50_ms", "overhead_ms", "idle_share",
    "holds_per_s", "captures_per_s", "tpcb_per_s", "revocation_p99_ms", "rest_mib", "ready_s", "task_life_cpu_ms",
)  # fmt: skip
"""What bench.json always has, each a number."""


@dataclasses.dataclass(frozen=True)
class Aim:
    """A figure and what it should be on two cores: at least, or at most, `limit` (times the figure `of`)."""

    key: str
    title: str
    unit: str
    limit: float | None = None
    least: bool = False
    of: str = ""

    def wanted(self, figures: Mapping[str, float | str]) -> float | None:
        """Return the limit as a number in the figure's unit; None when there is no aim."""
        if self.limit is None or not self.of:
            return self.limit
        return self.limit * float(figures[self.of])

    def reached(self, figures: Mapping[str, float | str]) -> bool | None:
        """Say whether the figure is as it should be; None when there is no aim."""
        wanted = self.wanted(figures)
        if wanted is None:
            return None
        found = float(figures[self.key])
        return found >= wanted if self.least else found <= wanted


AIMS = (
    Aim("floor_rps", "Empty RPC, 16 connections", "/s"),
    Aim("poll_rps", "Status poll, 16 connections", "/s", 0.75, least=True, of="floor_rps"),
    Aim("submit_rps", "Submit, 16 connections", "/s", 400, least=True),
    Aim("floor_p50_ms", "Empty RPC, 1 connection, p50", "ms"),
    Aim("poll_p50_ms", "Status poll, 1 connection, p50", "ms", 3),
    Aim("poll_p99_ms", "Status poll, 1 connection, p99", "ms"),
    Aim("submit_p50_ms", "Submit, 1 connection, p50", "ms", 6),
    Aim("submit_p99_ms", "Submit, 1 connection, p99", "ms"),
    Aim("floor_cpu_ms", "CPU of an empty RPC", "ms"),
    Aim("poll_cpu_ms", "CPU of a status poll", "ms"),
    Aim("submit_cpu_ms", "CPU of a submit", "ms"),
    Aim("check_p99_ms", "Check asked directly, p99", "ms", 3),
    Aim("overhead_ms", "One video, beside Triton's own time", "ms", 50),
    Aim("idle_share", "Model idle while a backlog waits", "", 0.03),
    Aim("task_life_cpu_ms", "CPU of a task's life, model apart", "ms"),
    Aim("holds_per_s", "Holds in the ledger", "/s", 2000, least=True),
    Aim("captures_per_s", "Captures in the ledger", "/s"),
    Aim("holds_rpc_per_s", "Holds by gRPC, client included", "/s"),
    Aim("captures_rpc_per_s", "Captures by gRPC, client included", "/s"),
    Aim("tpcb_per_s", "pgbench TPC-B on the same server", "/s"),
    Aim("revocation_p99_ms", "Revocation to refusal, p99", "ms"),
    Aim("rest_mib", "Memory at rest (PSS)", "MiB", 1000),
    Aim("ready_s", "Warm make up to ready", "s", 10),
)


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that is not below `percent` of all. Raises ValueError without values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("there are no values")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each figure over the rounds that have it."""
    keys = dict.fromkeys(key for found in rounds for key in found)
    return {key: statistics.median(found[key] for found in rounds if key in found) for key in keys}


def per_request(spent: Mapping[str, float], requests: int, case: str) -> dict[str, float]:
    """Return CPU milliseconds per request, in all and by process, from seconds by process."""
    each = {name: 1000 * seconds / max(requests, 1) for name, seconds in spent.items()}
    by_process = {f"{case}_cpu_{name}_ms": value for name, value in each.items() if value >= 0.0005}
    return {f"{case}_cpu_ms": sum(each.values()), **by_process}


def idle_share(ends: Sequence[float], busy: Sequence[float]) -> float:
    """Return the share of time in which nothing ran from the first end to the last.

    `ends` are the moments at which runs ended, one after the other, `busy` how long each of them had run, in seconds;
    a backlog waited all the time. Raises ValueError for fewer than two runs.
    """
    if len(ends) < 2 or len(ends) != len(busy):
        raise ValueError("it takes at least two runs, each with its end and its length")
    span = ends[-1] - ends[0]
    return max(0.0, 1 - sum(busy[1:]) / span)


def missing(figures: Mapping[str, float | str]) -> list[str]:
    """Return what bench.json must have and `figures` do not, or not as a number."""
    return [key for key in REQUIRED if not isinstance(figures.get(key), int | float)]


def table(figures: Mapping[str, float | str]) -> list[str]:
    """Write the figures that have a title, each beside its aim, as lines."""
    lines = [f"{'':<40} {'found':>10} {'aim':>12}  reached"]
    for aim in AIMS:
        if aim.key not in figures:
            continue
        wanted, reached = aim.wanted(figures), aim.reached(figures)
        sign = ">=" if aim.least else "<="
        goal = "" if wanted is None else f"{sign} {_number(wanted)}"
        said = {None: "", True: "yes", False: "NO"}[reached]
        lines.append(
            f"{aim.title:<40} {_number(float(figures[aim.key])):>10} {goal:>12}  {said:<4} {aim.unit}".rstrip()
        )
    return lines


def split(figures: Mapping[str, float | str], prefix: str, unit: str) -> str:
    """Write the figures called `<prefix>_<part>_<unit>` in one line, largest first."""
    head, tail = f"{prefix}_", f"_{unit}"
    parts = {
        key.removeprefix(head).removesuffix(tail): float(value)
        for key, value in figures.items()
        if key.startswith(head) and key.endswith(tail) and len(key) > len(head) + len(tail)
    }
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in ordered)


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"

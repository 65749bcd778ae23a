"""What all rounds come to: a table for people, and the same as JSON."""

import collections
import json
from pathlib import Path
from typing import Any

from tests.faults.chaos.rounds import Round


def summary(seed: int, rounds: list[Round]) -> dict[str, Any]:
    """Sum up; times in seconds, percentiles by nearest rank."""
    outcomes: collections.Counter[str] = collections.Counter()
    refused: collections.Counter[str] = collections.Counter()
    attempts: collections.Counter[int] = collections.Counter()
    for found in rounds:
        outcomes.update(found.outcomes)
        refused.update(found.refused)
        attempts.update(found.attempts)
    return {
        "seed": seed,
        "rounds": len(rounds),
        "orders": sum(found.orders for found in rounds),
        "outcomes": dict(outcomes),
        "attempts": {str(number): videos for number, videos in sorted(attempts.items())},
        "refused": dict(refused),
        "steps": sorted({step for found in rounds for step in found.steps}),
        "violations": [{"round": found.command, "violation": text} for found in rounds for text in found.violations],
        "kinds": {kind: _times([found for found in rounds if found.kind == kind]) for kind in _kinds(rounds)},
        "all": _times(rounds),
    }


def write(path: Path, told: dict[str, Any]) -> None:
    """Write it as a file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")


def table(told: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"{'fault':<20} {'rounds':>6} {'video p50':>10} {'p95':>7} {'ready p50':>10} {'p95':>7}   (seconds)"]
    for kind, row in [*told["kinds"].items(), ("all", told["all"])]:
        lines.append(
            f"{kind:<20} {row['rounds']:>6} {row['recovery_p50_s']:>10.2f} {row['recovery_p95_s']:>7.2f}"
            f" {row['ready_p50_s']:>10.2f} {row['ready_p95_s']:>7.2f}"
        )
    lines += ["", f"seed {told['seed']}, {told['rounds']} rounds, {told['orders']} orders: {told['outcomes']}"]
    lines += [f"steps of the protocol's model that were seen: {len(told['steps'])}"]
    lines += [f"videos by attempts: {told['attempts']}"]
    lines += [f"told meanwhile: {told['refused']}", f"violations: {len(told['violations'])}"]
    return "\n".join(lines)


def _kinds(rounds: list[Round]) -> list[str]:
    return sorted({found.kind for found in rounds})


def _times(rounds: list[Round]) -> dict[str, Any]:
    recovery, ready = (
        sorted(found.recovery_seconds for found in rounds),
        sorted(found.ready_seconds for found in rounds),
    )
    return {
        "rounds": len(rounds),
        "recovery_p50_s": _rank(recovery, 50),
        "recovery_p95_s": _rank(recovery, 95),
        "ready_p50_s": _rank(ready, 50),
        "ready_p95_s": _rank(ready, 95),
    }


def _rank(ordered: list[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed."""
    return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 3) if ordered else 0.0

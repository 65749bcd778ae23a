"""What the kernel knows of processes and of the machine: CPU seconds, memory, load. Linux's /proc."""

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")


def trees(roots: Mapping[str, int]) -> dict[str, list[int]]:
    """Return the process numbers of each root with all its living descendants; what is a root itself is not one."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (found := _stat(int(entry.name))):
            children.setdefault(int(found[1]), []).append(int(entry.name))
    tops = set(roots.values())

    def below(pid: int) -> list[int]:
        return [pid, *(deep for child in children.get(pid, []) if child not in tops for deep in below(child))]

    return {name: below(pid) for name, pid in roots.items()}


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU seconds (user and system) that each tree has used so far, with those of its ended children.

    The kernel counts in steps of 10 ms.
    """
    return {name: sum(_spent(pid) for pid in pids) for name, pids in trees(roots).items()}


def pss_mib(roots: Mapping[str, int]) -> dict[str, float]:
    """Return the proportional set size of each tree: a page that n processes share counts a n-th for each."""
    return {name: sum(_pss(pid) for pid in pids) / 1024 for name, pids in trees(roots).items()}


def since(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what each process has used between two looks."""
    return {name: max(0.0, value - before.get(name, 0.0)) for name, value in after.items()}


def load() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def described() -> dict[str, str]:
    """Return what the machine is, and which commit was measured."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines(PROC / "cpuinfo") if line.startswith("model name")),
        "unknown",
    )
    memory = next((int(line.split()[1]) for line in _lines(PROC / "meminfo") if line.startswith("MemTotal")), 0)
    cores = len(os.sched_getaffinity(0))
    return {
        "machine": f"{cores} cores of {model}, {memory / 2**20:.0f} GiB, Linux {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        ran = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return ran.stdout.strip() or "unknown"


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; empty for one that has gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _spent(pid: int) -> float:
    fields = _stat(pid)
    return sum(int(ticks) for ticks in fields[11:15]) / _TICK if fields else 0.0


def _pss(pid: int) -> int:
    """In KiB; 0 for one that has gone or may not be looked at."""
    lines = _lines(PROC / str(pid) / "smaps_rollup")
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []

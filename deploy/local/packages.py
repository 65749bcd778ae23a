"""Finds the system packages that Filmgate's parts need, before anything is fetched or started.

Runs on the system's own python3 with the standard library alone: the Makefile calls it before any environment
exists. Root gets what is missing installed; anyone else gets the one command to type.
"""

import ctypes
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

PYTHONS = ((3, 11), (3, 13))  # of Debian 12 and 13, where everything was seen to run (deploy/debian.sh)


class Package(NamedTuple):
    """A Debian package and the question whether what it brings is here."""

    name: str
    why: str
    present: Callable[[], bool]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def needed(version: tuple[int, int] = sys.version_info[:2]) -> list[Package]:
    """The packages that the suite needs beside a Debian minimal system, for the system python of `version`."""
    dotted = f"{version[0]}.{version[1]}"
    return [
        Package("python3-venv", "makes the Python environments", lambda: bool(importlib.util.find_spec("ensurepip"))),
        Package(
            f"libpython{dotted}", "is embedded by Triton's Python stub", lambda: _loads(f"libpython{dotted}.so.1.0")
        ),
        Package("util-linux", "lets PostgreSQL run for root", lambda: bool(shutil.which("unshare"))),
    ]


# The examples of docs/api.md are shell lines, and a test runs them.
FOR_TESTS = [
    Package("curl", "runs the examples of docs/api.md", lambda: bool(shutil.which("curl"))),
    Package("jq", "runs the examples of docs/api.md", lambda: bool(shutil.which("jq"))),
    Package("mount", "gives tests/faults a disk to fill", lambda: bool(shutil.which("mount"))),
]
FOR_BENCH = [Package("wrk", "loads the edge for make bench", lambda: bool(shutil.which("wrk")))]
FOR_TELEMETRY = [
    Package("prometheus", "collects the metrics", lambda: bool(shutil.which("prometheus"))),
    Package(
        "promtool" if sys.version_info >= (3, 13) else "prometheus",
        "tests the alarms",
        lambda: bool(shutil.which("promtool")),
    ),
]
"""Debian 13, with Python 3.13, has promtool in a package of its own."""
SETS = {"tests": [*FOR_TESTS, *FOR_TELEMETRY], "bench": FOR_BENCH, "telemetry": FOR_TELEMETRY}


def missing(packages: Iterable[Package]) -> list[Package]:
    """Those of `packages` that are not here."""
    return [package for package in packages if not package.present()]


def platform_fault(system: str, machine: str, version: tuple[int, int]) -> str | None:
    """A sentence that says why this platform cannot run the suite, or None when it can."""
    if (system, machine) != ("Linux", "x86_64"):
        return f"Filmgate's parts run on Linux x86_64 so far; this is {system} {machine}."
    if version not in PYTHONS:
        known = ", ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        return f"Filmgate needs a system python3 of {known}; this is {version[0]}.{version[1]}."
    return None


def command(packages: Iterable[Package]) -> str:
    """The one shell command that installs `packages`, for root."""
    names = " ".join(package.name for package in packages)
    return f"apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {names}"


def _install(packages: list[Package]) -> int:
    subprocess.run(["/bin/sh", "-c", f"({command(packages)}) >/dev/null"], check=False)
    left = missing(packages)
    for package in left:
        print(f"The package {package.name} ({package.why}) could not be installed.", file=sys.stderr)
    return 1 if left else 0


def main(arguments: list[str]) -> int:
    """Exit status 0 when the machine is ready, 1 with a sentence when it is not. `tests` and so on ask for more."""
    fault = platform_fault(platform.system(), platform.machine(), sys.version_info[:2])
    if fault:
        print(fault, file=sys.stderr)
        return 1
    lacking = missing(needed() + [package for name in arguments for package in SETS[name]])
    if not lacking:
        return 0
    for package in lacking:
        print(f"Missing system package: {package.name}, which {package.why}.", file=sys.stderr)
    if not shutil.which("apt-get"):
        print("Install these with your system's package manager, then try again.", file=sys.stderr)
        return 1
    if os.geteuid() == 0:
        print("Installing them.", file=sys.stderr)
        return _install(lacking)
    print(f"Please run once:\n  sudo sh -c '{command(lacking)}'", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

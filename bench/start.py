"""`make up` on a home that was used before: how long until every part is ready, and what all of it takes in memory."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

from bench import machine
from bench.figures import medians
from bench.stage import SETTINGS
from deploy.local import config
from deploy.local.lock import Lock
from deploy.local.ports import Ports

READY_SECONDS = 120
SETTLE_SECONDS = 5.0
_READY = b"ready after"
_WELCOME = b"Your key"


async def measure(home: Path, ports: Ports, rounds: int) -> dict[str, float]:
    """Start and stop so many times with `make up`; answers medians. Nothing may run on the home or the ports."""
    found = []
    for _ in range(rounds):
        async with _up(home, ports) as (seconds, roots):
            await asyncio.sleep(SETTLE_SECONDS)
            parts = machine.pss_mib(roots)
        found.append(
            {"ready_s": seconds, "rest_mib": sum(parts.values())}
            | {f"rest_{name}_mib": mib for name, mib in parts.items()}
        )
    return medians(found)


@contextlib.asynccontextmanager
async def _up(home: Path, ports: Ports) -> AsyncIterator[tuple[float, dict[str, int]]]:
    """Run `make up` for the block; yields (seconds until the last part was ready, process numbers by name)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment |= SETTINGS | {
        f"FILMGATE_{name.upper()}": str(port) for name, port in dataclasses.asdict(ports).items()
    }
    environment["FILMGATE_HOME"] = str(home)
    began = time.perf_counter()
    make = await asyncio.create_subprocess_exec(
        "make", "-s", "up", env=environment, cwd=config.ROOT, start_new_session=True,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        seconds = await asyncio.wait_for(_ready(make, began), READY_SECONDS)
        note = Lock(home).holder() or {}
        roots = {name: part["pid"] for name, part in note.get("parts", {}).items()}
        yield seconds, {"supervisor": note["pid"], **roots}
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(make.pid, signal.SIGINT)
        await make.communicate()


async def _ready(make: asyncio.subprocess.Process, began: float) -> float:
    last, said = 0.0, b""
    assert make.stdout is not None  # noqa: S101  it is a pipe
    async for line in make.stdout:
        said += line
        if _READY in line:
            last = time.perf_counter() - began
        if _WELCOME in line:
            return last
    raise RuntimeError(f"make up did not start the suite: {said.decode(errors='replace')[-1000:]}")

"""Runs wrk, which costs little beside what it measures: closed loop, so many connections, one thread."""

import asyncio
import dataclasses
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")
CONNECTIONS = 16


@dataclasses.dataclass(frozen=True)
class Request:
    """One request of a case; with a body it gets an Idempotency-Key of its own each time."""

    verb: str
    path: str
    key: str
    body: str = ""

    def line(self) -> str:
        """Write it as load.lua reads it."""
        return "\t".join((self.verb, self.path, self.key, self.body))


@dataclasses.dataclass(frozen=True)
class Found:
    """What one run saw: answers, seconds, and times in milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rps(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


class Failed(Exception):
    """wrk did not run, or not every answer was a success: its figures would say nothing."""


async def run(url: str, requests: Sequence[Request], folder: Path, *, connections: int, seconds: float) -> Found:
    """Send the requests in turn for so long. Raises Failed when one was refused or broken."""
    plan = folder / "plan.txt"
    plan.write_text("".join(f"{request.line()}\n" for request in requests))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    command += ["-s", str(SCRIPT), url, "--", str(plan), f"bench-{secrets.token_hex(6)}-"]
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except FileNotFoundError:
        raise Failed("wrk is not installed; run make bench, which installs it") from None
    said = (await process.communicate())[0].decode(errors="replace")
    return read(said)


def read(said: str) -> Found:
    """Read what wrk printed. Raises Failed."""
    line = next((line for line in said.splitlines() if line.startswith("FOUND ")), "")
    if not line:
        raise Failed(said.strip()[-500:] or "wrk said nothing")
    found = json.loads(line.removeprefix("FOUND "))
    if found["refused"] or found["broken"] or not found["requests"]:
        raise Failed(f"of {found['requests']} requests {found['refused']} were refused, {found['broken']} broken")
    return Found(found["requests"], found["microseconds"] / 1e6, found["p50"] / 1000, found["p99"] / 1000)

"""Waiting for what another process does in its own time: always with an end, and no longer than it takes."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

from deploy.local.client import JSON, Refused

PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 60.0
"""For what comes at once on a quiet machine: a busy one may take a hundred times as long."""
Call = Callable[[], Awaitable[JSON]]


async def until(
    condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS, pause: float = PAUSE_SECONDS, what: str = ""
) -> Any:
    """Ask again and again until a condition, plain or a coroutine, answers something true; return that.

    `seconds` bounds it, `pause` (in seconds) lies between two looks. Raises TimeoutError with `what` was waited for,
    and the last answer.
    """
    found: Any = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = condition()
                if inspect.isawaitable(found):
                    found = await found
                if found:
                    return found
                await asyncio.sleep(pause)
    except TimeoutError:
        raise TimeoutError(f"{what or 'the condition'} did not hold within {seconds:g} s; at last: {found!r}") from None


async def stays(condition: Callable[[], Any], seconds: float = 0.5) -> None:
    """Ask for so many seconds whether a condition still holds: for what must not happen, which nobody can wait for.

    A busy machine may make it miss a fault, never see one that is not there. Raises AssertionError when it ended.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), "it ended too early"
        await asyncio.sleep(PAUSE_SECONDS)


async def steps(number: int = 10) -> None:
    """Let every task of this loop that can go on take so many steps; no time passes."""
    for _ in range(number):
        await asyncio.sleep(0)


async def until_refused(call: Call, seconds: float, reason: str = "") -> Refused:
    """Repeat a call until it is refused, if given for `reason`; returns the refusal. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await call()
            except Refused as refused:
                if reason in ("", refused.reason):
                    return refused
            await asyncio.sleep(PAUSE_SECONDS)


async def until_served(call: Call, seconds: float, *reasons: str) -> JSON:
    """Repeat a call while it is refused for one of `reasons`; returns it. Raises any other refusal, TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await call()
            except Refused as refused:
                if refused.reason not in reasons:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

"""Waiting for what another process does in its own time: always with an end, and no longer than it takes."""

import asyncio
from collections.abc import Awaitable, Callable

from deploy.local.client import JSON, Refused

PAUSE_SECONDS = 0.05
Call = Callable[[], Awaitable[JSON]]


async def until_refused(call: Call, seconds: float, reason: str = "") -> Refused:
    """Repeat a call until it is refused, if given for `reason`; answers the refusal. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await call()
            except Refused as refused:
                if reason in ("", refused.reason):
                    return refused
            await asyncio.sleep(PAUSE_SECONDS)


async def until_served(call: Call, seconds: float, *reasons: str) -> JSON:
    """Repeat a call while it is refused for one of `reasons`; answers it. Raises any other refusal, TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await call()
            except Refused as refused:
                if refused.reason not in reasons:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

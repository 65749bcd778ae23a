"""How long a revoked key still passes: from the moment that its owner asks to the first refusal at the edge."""

import asyncio
import time

from bench.figures import percentile
from bench.stage import Customer, Stage
from deploy.local.client import Client, Refused


async def measure(stage: Stage, samples: int) -> dict[str, float]:
    """Make keys and revoke them, so many; returns the p50 and p99 in milliseconds."""
    found = []
    async with Client(stage.suite.url, stage.suite.outbox) as stranger:
        for number in range(samples):
            owner = stage.customers[number % len(stage.customers)]
            found.append(await _sample(owner, stranger))
    return {"revocation_p50_ms": percentile(found, 50), "revocation_p99_ms": percentile(found, 99)}


async def _sample(owner: Customer, stranger: Client) -> float:
    """`stranger` uses the key all the time while its owner revokes it."""
    key, owner.credential = owner.credential, owner.session
    try:
        made = await owner.call("POST", "/v1/keys", {"display_name": "to be revoked"})
        stranger.credential = made["secret"]
        await stranger.call("GET", "/v1/videos")
        asked = time.perf_counter()
        revoking = asyncio.create_task(owner.call("POST", f"/v1/keys/{made['id']}:revoke", {}))
        while await _passes(stranger):
            pass
        refused = time.perf_counter()
        await revoking
    finally:
        owner.credential = key
    return 1000 * (refused - asked)


async def _passes(stranger: Client) -> bool:
    try:
        await stranger.call("GET", "/v1/videos")
    except Refused as refusal:
        if refusal.reason != "KEY_REVOKED":
            raise
        return False
    return True

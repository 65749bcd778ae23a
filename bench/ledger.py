"""Holds and captures per second, in the ledger itself and by gRPC, beside pgbench's TPC-B on the same server."""

import asyncio
import datetime
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from bench.figures import medians
from bench.load import CONNECTIONS
from bench.stage import PROFILE, Stage
from deploy.local.postgres import binary
from filmgate.billing.v1 import prices_pb2, wallets_pb2, wallets_pb2_grpc
from services.billing.config import BillingSettings
from services.billing.prices.book_cache import PriceBookCache, contents
from services.billing.wallets.api import Wallets
from services.billing.wallets.ledger import Ledger
from services.runtime import channels, ids, profile
from services.runtime.clock import SystemClock
from services.runtime.config import Settings
from services.runtime.database import Database

WALLETS = 256
SCALE = 10
VERSION = len(contents())
"""The newest price book, which is in force; reading it costs more than a hold."""
Call = Callable[[Any], Awaitable[Any]]


async def measure(stage: Stage, rounds: int, seconds: float) -> dict[str, float]:
    """Measure all three in turn, so many rounds; answers medians."""
    await _prepare_tpcb(stage)
    found = []
    async with _in_process(stage) as inside, _by_rpc(stage) as outside:
        organizations = [ids.new("org") for _ in range(WALLETS)]
        await _open(inside[0], organizations)
        for _ in range(rounds):
            holds, captures = await _work(inside, organizations, seconds)
            holds_rpc, captures_rpc = await _work(outside, organizations, seconds)
            found.append(
                {
                    "holds_per_s": holds,
                    "captures_per_s": captures,
                    "holds_rpc_per_s": holds_rpc,
                    "captures_rpc_per_s": captures_rpc,
                    "tpcb_per_s": await _tpcb(stage, seconds),
                }
            )
    return medians(found)


@asynccontextmanager
async def _in_process(stage: Stage) -> AsyncIterator[tuple[Call, Call]]:
    """The Wallets servicer in this process, on billing's database: what billing does, without gRPC around it."""
    clock = SystemClock()
    database = Database(stage.suite.database_urls["billing"][1])
    rules, book_cache = profile.load(str(PROFILE)), PriceBookCache(clock)
    wallets = Wallets(database, Ledger(rules, book_cache, BillingSettings.journals_per_hour), clock)
    try:
        yield (lambda request: wallets.Authorize(request, None)), (lambda request: wallets.Capture(request, None))
    finally:
        await database.close()


@asynccontextmanager
async def _by_rpc(stage: Stage) -> AsyncIterator[tuple[Call, Call]]:
    """The running billing, asked as generation asks it. The client's own CPU is part of the figure."""
    address = f"127.0.0.1:{stage.suite.ports.billing_port}"
    channel = channels.connect("billing", Settings(name="generation", home=stage.suite.home, billing_address=address))
    stub = wallets_pb2_grpc.WalletsStub(channel)
    try:
        yield stub.Authorize, stub.Capture
    finally:
        await channel.close()


async def _open(authorize: Call, organizations: list[str]) -> None:
    """Open every wallet by a first hold: what is measured then are holds alone."""
    for organization in organizations:
        await authorize(_order(organization))


async def _work(calls: tuple[Call, Call], organizations: list[str], seconds: float) -> tuple[float, float]:
    """Hold for so long, 16 at once, then capture all of it; returns both rates."""
    authorize, capture = calls
    held: list[str] = []
    until, begun = time.perf_counter() + seconds, time.perf_counter()

    async def hold(first: int) -> None:
        number = first
        while time.perf_counter() < until:
            request = _order(organizations[number % len(organizations)])
            await authorize(request)
            held.append(request.video)
            number += CONNECTIONS

    await asyncio.gather(*(hold(number) for number in range(CONNECTIONS)))
    middle, open_holds = time.perf_counter(), iter(list(held))

    async def end() -> None:
        for video in open_holds:
            await capture(wallets_pb2.CaptureRequest(video=video, outcome=prices_pb2.Outcome.SUCCEEDED))

    await asyncio.gather(*(end() for _ in range(CONNECTIONS)))
    return len(held) / (middle - begun), len(held) / (time.perf_counter() - middle)


def _order(organization: str) -> wallets_pb2.AuthorizeRequest:
    request = wallets_pb2.AuthorizeRequest(
        video=ids.new("vid"),
        organization=organization,
        project=ids.new("prj"),
        account=ids.new("acc"),
        usage=prices_pb2.Usage(model="animatic", resolution="480p", duration_seconds=2),
        price_version=VERSION,
    )
    request.expire_time.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1))
    return request


async def _prepare_tpcb(stage: Stage) -> None:
    stage.suite.postgres.create_database("bench")
    await _pgbench(stage, "-i", "-q", "-s", str(SCALE))


async def _tpcb(stage: Stage, seconds: float) -> float:
    """TPC-B as pgbench has it, prepared statements, as many clients as elsewhere here."""
    clients = ("-M", "prepared", "-n", "-c", str(CONNECTIONS), "-j", "2", "-T", str(max(1, round(seconds))))
    said = await _pgbench(stage, *clients)
    found = re.search(r"tps = ([0-9.]+)", said)
    if not found:
        raise RuntimeError(f"pgbench said no rate: {said[-500:]}")
    return float(found[1])


async def _pgbench(stage: Stage, *arguments: str) -> str:
    postgres = stage.suite.postgres
    environment = {
        "PATH": os.defpath,
        "PGHOST": str(postgres.sockets),
        "PGUSER": "bench_owner",
        "PGPASSWORD": postgres.password("bench_owner"),
        "PGDATABASE": "bench",
    }
    process = await asyncio.create_subprocess_exec(
        binary("pgbench"), *arguments, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = (await process.communicate())[0].decode()
    if process.returncode:
        raise RuntimeError(f"pgbench failed: {said[-500:]}")
    return said

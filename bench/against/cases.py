"""What is measured on a side in one turn: each case returns CPU per request, and a rate where it runs at full speed."""

import asyncio
import dataclasses
import datetime
import io
import itertools
import json
from collections.abc import Awaitable, Callable

import grpc
from PIL import Image

from bench.against.names import Method
from bench.against.side import Side
from bench.against.verdict import Seen
from bench.load import CONNECTIONS, Request, run
from bench.stage import ORDER
from services.runtime import channels, ids
from services.runtime.config import Settings

LIVES = 1
POLLS = 20
UPLOADS = 16
HOLDS = 500
WALLETS = 64
Case = Callable[[Side], Awaitable[Seen]]


async def prepare(side: Side) -> None:
    """Warm a side up: a first film, which the downloads then read, and a queue that grows no longer than the rest."""
    video = await _film(side)
    side.film = side.names.path("content", id=video)


async def life(side: Side) -> Seen:
    """Whole lives: order, 20 polls, watch until settled, download. CPU of everything but Triton, idling too."""
    before = side.cpu()
    for _ in range(LIVES):
        await _film(side)
    return _seen(side, before, LIVES)


async def download(side: Side, seconds: float) -> Seen:
    """A finished film of some 200 KB, with 16 connections."""
    return await _load(side, [Request("GET", side.film, side.customers[0].credential)], seconds)


async def upload(side: Side) -> Seen:
    """A picture of 640 x 360 pixels, 8 at a time; each is deleted again, which counts too."""
    picture, numbers = _picture(), itertools.count()

    async def client() -> None:
        while (number := next(numbers)) < UPLOADS:
            owner = side.customers[number % len(side.customers)]
            made = await owner.upload(picture)
            await owner.call("DELETE", side.names.path("file", id=made["id"]))

    before = side.cpu()
    await asyncio.gather(*(client() for _ in range(8)))
    return _seen(side, before, UPLOADS)


async def poll(side: Side, seconds: float) -> Seen:
    """The status of a queued video."""
    if not side.polled:
        for owner in side.customers:
            video = await owner.call("POST", side.names.path("videos"), ORDER)
            side.polled.append(Request("GET", side.names.path("video", id=video["id"]), owner.credential))
    return await _load(side, side.polled, seconds)


async def listing(side: Side, seconds: float) -> Seen:
    """A page of ten of one's own videos."""
    path = side.names.path("videos") + "?page_size=10"
    return await _load(side, [Request("GET", path, owner.credential) for owner in side.customers], seconds)


async def wallet(side: Side, seconds: float) -> Seen:
    """The wallet with its lots."""
    return await _load(
        side, [Request("GET", side.names.path("wallet"), owner.credential) for owner in side.customers], seconds
    )


async def submit(side: Side, seconds: float) -> Seen:
    """An order with an Idempotency-Key of its own: hold, durable task, stored answer."""
    body, path = json.dumps(ORDER), side.names.path("videos")
    return await _load(side, [Request("POST", path, owner.credential, body) for owner in side.customers], seconds)


async def hold(side: Side) -> Seen:
    """Holds by gRPC, 16 at once, on 64 wallets that are open; what `capture` then ends."""
    async with Ledger(side) as ledger:
        if not side.wallets:
            side.wallets = [ids.new("org") for _ in range(WALLETS)]
            await ledger.hold(side.wallets)
        side.held, before = [], side.cpu()
        side.held = await ledger.hold(list(itertools.islice(itertools.cycle(side.wallets), HOLDS)))
        return _seen(side, before, HOLDS)


async def capture(side: Side) -> Seen:
    """The captures of those holds."""
    async with Ledger(side) as ledger:
        before = side.cpu()
        await ledger.capture(side.held)
        return _seen(side, before, len(side.held))


class Ledger:
    """Billing asked as generation asks it, in the words of the side's own contract."""

    def __init__(self, side: Side) -> None:
        address = f"127.0.0.1:{side.ports['billing_port']}"
        self._channel = channels.connect(
            "billing", Settings(name="generation", home=side.home, billing_address=address)
        )
        self._names = side.names

    async def __aenter__(self) -> "Ledger":
        """Ask which price book is in force: holds are priced by it."""
        prices = self._names.method("prices")
        self._version = prices.read(await self._call(prices)({}))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def hold(self, organizations: list[str]) -> list[str]:
        """Hold the price of a video for each, 16 at once; returns the tasks."""
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
        values = [
            {
                "task": ids.new("vid"), "organization": organization, "project": ids.new("prj"),
                "account": ids.new("acc"), "version": self._version, "expire_time": until.isoformat(),
            }
            for organization in organizations
        ]  # fmt: skip
        await self._all("hold", values)
        return [value["task"] for value in values]

    async def capture(self, tasks: list[str]) -> None:
        """Charge each hold, 16 at once."""
        await self._all("capture", [{"task": task} for task in tasks])

    async def _all(self, name: str, values: list[dict[str, object]]) -> None:
        call, waiting = self._call(self._names.method(name)), iter(values)

        async def work() -> None:
            for value in waiting:
                await call(value)

        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))

    def _call(self, method: Method) -> Callable[[dict[str, object]], Awaitable[grpc.aio.UnaryUnaryCall]]:
        stub = self._channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        return lambda values: stub(method.fill(**values), timeout=30)


async def _film(side: Side) -> str:
    """Order one video, look 20 times, watch until it is settled, download; returns its id."""
    owner = side.customers[0]
    video = str((await owner.call("POST", side.names.path("videos"), ORDER))["id"])
    for _ in range(POLLS):
        await owner.call("GET", side.names.path("video", id=video))
        await asyncio.sleep(0.02)
    await owner.until_settled(video)
    await owner.download(side.names.path("content", id=video), side.folder / "film.mp4")
    return video


async def _load(side: Side, requests: list[Request], seconds: float) -> Seen:
    before = side.cpu()
    found = await run(side.url, requests, side.folder, connections=CONNECTIONS, seconds=seconds)
    return dataclasses.replace(_seen(side, before, found.requests), rate=found.rps)


def _seen(side: Side, before: float, requests: int) -> Seen:
    return Seen(1000 * (side.cpu() - before) / requests)


def _picture() -> bytes:
    """A picture with something in it: a plain one would compress to nothing."""
    sheet = Image.linear_gradient("L").resize((640, 360))
    written = io.BytesIO()
    Image.merge("RGB", (sheet, sheet.rotate(90), sheet.rotate(180))).save(written, "PNG")
    return written.getvalue()

"""The customers: they order, wait, watch, cancel and upload all the time, and try again what was not answered."""

import asyncio
import collections
import contextlib
import dataclasses
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

from deploy.local.client import JSON, Client, Refused, new_phone
from tests.faults.conftest import ORDER
from tests.support import films
from tests.support.addresses import an_address

CUSTOMERS = 2
CALL_SECONDS = 6.0
LIFE_SECONDS = 90.0
AGAIN_SECONDS = 0.25
LOOK_SECONDS = 0.3
VIDEOS_PER_CUSTOMER = 80  # the trial credit is worth 100
TRANSIENT = {429, 502, 503, 504}
TRANSIENT_REASONS = {"REQUEST_IN_PROGRESS"}
EXPECTED = {"VIDEO_ENDED"}
ENDED = {"SUCCEEDED", "FAILED", "CANCELLED"}
ACTS = {
    "wait": 5,
    "watch": 3,
    "lose": 2,
    "cancel_queued": 2,
    "cancel_running": 2,
    "picture": 2,
    "estimate": 1,
    "leave": 1,
}
Result = TypeVar("Result")


@dataclasses.dataclass
class Order:
    """What one customer knows of one order. `answers` are all ids that it was answered by; `refusals` the reasons of
    what was not tried again."""

    customer: "Customer"
    key: str
    body: JSON
    answers: list[str] = dataclasses.field(default_factory=list)
    refusals: list[str] = dataclasses.field(default_factory=list)
    calls: int = 0
    cancelled: bool = False
    seen: JSON = dataclasses.field(default_factory=dict)

    @property
    def video(self) -> str:
        """The video that the customer believes in; empty when they never had a response."""
        return self.answers[0] if self.answers else ""


class Customer:
    """An account with its key; `organization` owns its wallet."""

    def __init__(self, url: str, outbox: object) -> None:
        self.client = Client(url, outbox, timeout_seconds=CALL_SECONDS, address=an_address())  # type: ignore[arg-type]
        self.organization = ""
        self.ordered = 0

    async def register(self) -> "Customer":
        """Come to be, as the demo does."""
        made = await self.client.register(new_phone())
        self.organization = made["organization"]["id"]
        await self.client.accept_policies()
        await self.client.make_key("chaos")
        await self.client.call("GET", "/v1/wallet")
        return self


class Load:
    """Customers who live their lives until `stop`. `faults` is what no fault of ours explains; `refused` counts what
    they were told meanwhile."""

    def __init__(self, url: str, outbox: object, dice: random.Random) -> None:
        self._url, self._outbox, self._dice = url, outbox, dice
        self._drawing = films.encoded(films.scene(480, 480))
        self._customers: list[Customer] = []
        self._lives: list[asyncio.Task[None]] = []
        self._stopping = False
        self.orders: list[Order] = []
        self.faults: list[str] = []
        self.refused: collections.Counter[str] = collections.Counter()

    async def open(self) -> None:
        """Let there be customers with money; the prober is one of them."""
        for customer in [one for one in self._customers if one.ordered > VIDEOS_PER_CUSTOMER]:
            self._customers.remove(customer)
            await customer.client.http.aclose()
        while len(self._customers) < CUSTOMERS + 1:
            self._customers.append(await Customer(self._url, self._outbox).register())

    @property
    def customers(self) -> list[Customer]:
        """Who is there."""
        return list(self._customers)

    async def close(self) -> None:
        """Close their connections."""
        for customer in self._customers:
            await customer.client.http.aclose()

    def start(self, dice: random.Random) -> None:
        """Begin to live."""
        self._stopping, self.orders, self.faults = False, [], []
        self.refused.clear()
        lives = [(customer, random.Random(dice.random())) for customer in self._customers[1:]]  # noqa: S311  no secret
        self._lives = [asyncio.create_task(self._live(*life)) for life in lives]

    async def stop(self) -> None:
        """Begin nothing new; what was begun is seen to its end."""
        self._stopping = True
        for found in await asyncio.gather(*self._lives, return_exceptions=True):
            if isinstance(found, BaseException):
                self.faults.append(f"a customer could not go on: {type(found).__name__}: {found}")

    async def probe(self) -> None:
        """Order videos until one that was ordered from now on is made."""
        while True:
            order = await self.order(self._customers[0], {**ORDER, "prompt": "are you there"})
            if order.video and (await self._until_ended(order)).get("state") == "SUCCEEDED":
                return

    async def poison(self, words: str) -> Order:
        """Order what kills; returns the ended order."""
        order = await self.order(self._customers[0], {**ORDER, "prompt": f"a cup of {words}"})
        await self._until_ended(order)
        return order

    async def order(self, customer: Customer, body: JSON, *, lose: bool = False) -> Order:
        """Order until answered or refused for good. `lose`: hang up on the first call, as a bad line does."""
        order = Order(customer, secrets.token_hex(8), body)
        self.orders.append(order)
        customer.ordered += 1
        if lose:
            with contextlib.suppress(TimeoutError, Refused, httpx.TransportError):
                async with asyncio.timeout(self._dice.uniform(0.005, 0.1)):
                    order.answers.append((await self._create(order))["id"])
        made = await self.insist(lambda: self._create(order), order.refusals)
        if made is not None:
            order.answers.append(made["id"])
            order.seen = made
        return order

    async def insist(self, call: Callable[[], Awaitable[Result]], refusals: list[str] | None = None) -> Result | None:
        """Repeat a call until it is answered; None when it was refused for good, or nobody answered for too long."""
        deadline = time.monotonic() + LIFE_SECONDS
        while time.monotonic() < deadline:
            try:
                return await call()
            except httpx.TransportError as fault:
                self.refused[type(fault).__name__] += 1
            except Refused as refused:
                self.refused[f"{refused.status} {refused.reason}"] += 1
                if refused.status not in TRANSIENT and refused.reason not in TRANSIENT_REASONS:
                    return self._refused(refused, refusals)
            await asyncio.sleep(AGAIN_SECONDS)
        self.faults.append(f"a call was not answered for {LIFE_SECONDS:g} s; refusals {dict(self.refused)}")
        return None

    def _refused(self, refused: Refused, refusals: list[str] | None) -> None:
        """Note what was refused for good: only that a video has ended already may be told to these customers."""
        if refusals is not None:
            refusals.append(refused.reason)
        if refused.reason not in EXPECTED:
            self.faults.append(f"refused without a reason of the customer's: {refused}")

    async def _create(self, order: Order) -> JSON:
        order.calls += 1
        return await order.customer.client.call("POST", "/v1/videos", order.body, idempotency_key=order.key)

    async def _live(self, customer: Customer, dice: random.Random) -> None:
        acts = {name: getattr(self, f"_{name}") for name in ACTS}
        while not self._stopping:
            [name] = dice.choices(list(ACTS), list(ACTS.values()))
            await acts[name](customer, dice)
            await asyncio.sleep(dice.uniform(0.1, 0.6))

    async def _wait(self, customer: Customer, dice: random.Random) -> None:
        await self._until_ended(await self.order(customer, ORDER))

    async def _lose(self, customer: Customer, dice: random.Random) -> None:
        await self._until_ended(await self.order(customer, ORDER, lose=True))

    async def _leave(self, customer: Customer, dice: random.Random) -> None:
        """Order once, and never look again, whatever came of it."""
        order = Order(customer, secrets.token_hex(8), ORDER)
        self.orders.append(order)
        customer.ordered += 1
        with contextlib.suppress(httpx.TransportError):
            try:
                order.answers.append((await self._create(order))["id"])
            except Refused as refused:
                self.refused[f"{refused.status} {refused.reason}"] += 1
                if refused.status not in TRANSIENT and refused.reason not in TRANSIENT_REASONS:
                    self._refused(refused, order.refusals)

    async def _watch(self, customer: Customer, dice: random.Random) -> None:
        order = await self.order(customer, ORDER)
        if not order.video:
            return
        deadline, sequence, final = time.monotonic() + LIFE_SECONDS, 0, False
        while not final and time.monotonic() < deadline:
            with contextlib.suppress(Refused, httpx.TransportError, TimeoutError):
                async with asyncio.timeout(CALL_SECONDS):
                    async for event in customer.client.watch(order.video, sequence):
                        sequence, final = self._in_order(order, sequence, event), bool(event.get("final"))
            await asyncio.sleep(AGAIN_SECONDS)
        if not final:
            self.faults.append(f"a watch of {order.video} never came to its final event")
        await self._until_ended(order)

    def _in_order(self, order: Order, sequence: int, event: JSON) -> int:
        told = int(event.get("sequence") or sequence)
        if told < sequence:
            self.faults.append(f"a watch of {order.video} went back from {sequence} to {told}")
        return told

    async def _cancel_queued(self, customer: Customer, dice: random.Random) -> None:
        order = await self.order(customer, ORDER)
        await asyncio.sleep(dice.uniform(0, 0.2))
        await self._cancel(order)

    async def _cancel_running(self, customer: Customer, dice: random.Random) -> None:
        order = await self.order(customer, ORDER)
        await self._until(order, {"RUNNING", *ENDED})
        await asyncio.sleep(dice.uniform(0, 0.5))
        await self._cancel(order)

    async def _cancel(self, order: Order) -> None:
        if not order.video:
            return
        answer = await self.insist(lambda: order.customer.client.call("POST", f"/v1/videos/{order.video}:cancel", {}))
        order.cancelled = answer is not None
        await self._until_ended(order)

    async def _picture(self, customer: Customer, dice: random.Random) -> None:
        uploaded = await self.insist(lambda: customer.client.upload(self._drawing))
        if uploaded is not None:
            await self._until_ended(await self.order(customer, {**ORDER, "image": uploaded["id"]}))

    async def _estimate(self, customer: Customer, dice: random.Random) -> None:
        await self.insist(lambda: customer.client.call("POST", "/v1/videos:estimate", ORDER))

    async def _until_ended(self, order: Order) -> JSON:
        """Look until the video has ended and is settled; returns it."""
        seen = await self._until(order, ENDED)
        deadline = time.monotonic() + LIFE_SECONDS
        while seen.get("settlement") == "PENDING" and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            seen = await self._look(order)
        return seen

    async def _until(self, order: Order, states: set[str]) -> JSON:
        deadline = time.monotonic() + LIFE_SECONDS
        while order.video and order.seen.get("state") not in {"LOST", *states}:
            if time.monotonic() > deadline:
                self.faults.append(f"{order.video} is {order.seen.get('state')} after {LIFE_SECONDS:g} s")
                break
            await asyncio.sleep(LOOK_SECONDS)
            await self._look(order)
        return order.seen

    async def _look(self, order: Order) -> JSON:
        path = f"/v1/videos/{order.video}"
        seen = await self.insist(lambda: order.customer.client.call("GET", path))
        order.seen = seen or {**order.seen, "state": "LOST", "settlement": ""}
        return order.seen

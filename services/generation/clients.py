"""The only door from generation to other services: billing and auth."""

import asyncio
import dataclasses
import datetime
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.type import money_pb2

from filmgate.auth.v1 import tokens_pb2, tokens_pb2_grpc
from filmgate.billing.v1 import prices_pb2, prices_pb2_grpc, wallets_pb2, wallets_pb2_grpc
from services.generation import errors
from services.runtime.errors import INTERNAL, PEER_UNAVAILABLE, Failure, RemoteFailure, of

PRICES_FOR_SECONDS = 60.0
PRICES_AGAIN_SECONDS = 5.0
PRICES_WITHIN_SECONDS = 2.0
QUOTE_FOR_SECONDS = 5.0
"""So old may a quote be; billing holds by a version for ten minutes after the next one came into force."""
_MICROS, _NANOS = 1_000_000, 1000
_REFUSALS = {
    kind.reason: kind
    for kind in (errors.BALANCE_TOO_LOW, errors.PRICE_ABOVE_MAX, errors.TOO_MANY_OPEN_VIDEOS, errors.WALLET_PARKED)
}


class NotAnswered(Exception):
    """Billing may or may not have done what it was asked."""


@dataclasses.dataclass(frozen=True)
class Quote:
    """A price in micro-units of its currency, and the price-book version it was worked out from."""

    micros: int
    currency: str
    price_version: int


@dataclasses.dataclass(frozen=True)
class Terms:
    """The published prices: the cheapest second per model, and what each outcome is charged in percent."""

    cheapest: dict[str, money_pb2.Money]
    percent: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Settled:
    """How a hold ended: `settlement` CAPTURED or RELEASED, and the micro-units that were charged."""

    settlement: str
    micros: int


class Billing:
    """Asks billing for prices, and holds and charges for videos."""

    def __init__(self, channel: grpc.aio.Channel, steady: Callable[[], float] = time.monotonic) -> None:
        self._channel, self._steady = channel, steady
        self._prices = prices_pb2_grpc.PricesStub(channel)
        self._wallets = wallets_pb2_grpc.WalletsStub(channel)
        self._quotes: dict[tuple[str, str, int], tuple[float, Quote]] = {}
        self._terms: Terms | None = None
        self._read_again = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def quote(self, model: str, resolution: str, duration_seconds: int) -> Quote:
        """Return the price in force, at most QUOTE_FOR_SECONDS ago. Raises MODEL_UNKNOWN for a model without one, and
        PEER_UNAVAILABLE.

        Quotes are remembered by what the catalog offers, so there are few. While billing is not connected they are
        asked for: that fails with nothing in doubt, which `authorize` would not.
        """
        usage, now = (model, resolution, duration_seconds), self._steady()
        end, quote = self._quotes.get(usage, (now, None))
        if quote is None or now >= end or self._channel.get_state() is not grpc.ChannelConnectivity.READY:
            quote = await self._quote(
                prices_pb2.Usage(model=model, resolution=resolution, duration_seconds=duration_seconds)
            )
            self._quotes[usage] = (now + QUOTE_FOR_SECONDS, quote)
        return quote

    async def _quote(self, usage: prices_pb2.Usage) -> Quote:
        try:
            answer = await self._prices.Quote(prices_pb2.QuoteRequest(usage=usage))
        except grpc.aio.AioRpcError as error:
            if of(error).reason == "PRICE_UNKNOWN":
                raise errors.MODEL_UNKNOWN(model=usage.model) from error
            raise PEER_UNAVAILABLE(service="billing") from error
        return Quote(micros(answer.price), answer.price.currency_code, answer.price_version)

    async def authorize(
        self,
        *,
        video: str,
        organization: str,
        project: str,
        account: str,
        model: str,
        resolution: str,
        duration_seconds: int,
        price_version: int,
        max_price: money_pb2.Money | None,
        expire_time: datetime.datetime,
    ) -> int:
        """Hold the price of a video; returns the micro-units held.

        Raises the refusals for money and slots, PEER_UNAVAILABLE when the clean-up was quicker and has ended the hold,
        and NotAnswered when it is not known whether money is held.
        """
        usage = prices_pb2.Usage(model=model, resolution=resolution, duration_seconds=duration_seconds)
        request = wallets_pb2.AuthorizeRequest(
            video=video,
            organization=organization,
            project=project,
            account=account,
            usage=usage,
            price_version=price_version,
            max_price=max_price,
        )
        request.expire_time.FromDatetime(expire_time)
        try:
            hold = await self._wallets.Authorize(request)
        except grpc.aio.AioRpcError as error:
            raise _refusal(of(error)) from error
        if hold.state != wallets_pb2.Hold.HELD:
            raise PEER_UNAVAILABLE(service="billing")
        return micros(hold.amount)

    async def capture(self, video_id: str, outcome: str) -> Settled:
        """End a hold by the outcome of its video. May be repeated for ever; raises AioRpcError when not answered."""
        request = wallets_pb2.CaptureRequest(video=video_id, outcome=outcome)
        return _settled(await self._wallets.Capture(request))

    async def release(self, video_id: str) -> Settled:
        """Give a hold back, and bar a late Authorize of the same video. May be repeated for ever."""
        return _settled(await self._wallets.Release(wallets_pb2.ReleaseRequest(video=video_id)))

    async def open_holds(self) -> AsyncIterator[wallets_pb2.Hold]:
        """Yield all open holds, oldest first."""
        request = wallets_pb2.ListHoldsRequest(page_size=200)
        while True:
            page = await self._wallets.ListHolds(request)
            for hold in page.holds:
                yield hold
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def terms(self) -> Terms | None:
        """Return the published prices, at most 60 s old; older ones, or None, while billing does not answer.

        Who has old ones is not kept waiting: they are read anew in the background, by one call at a time.
        """
        now = self._steady()
        if now >= self._read_again and (self._reading is None or self._reading.done()):
            self._read_again = now + PRICES_FOR_SECONDS
            self._reading = asyncio.create_task(self._read_terms())
        if self._terms is None and self._reading is not None:
            await asyncio.shield(self._reading)
        return self._terms

    async def _read_terms(self) -> None:
        try:
            answer = await self._prices.ListPrices(prices_pb2.ListPricesRequest(), timeout=PRICES_WITHIN_SECONDS)
        except (grpc.aio.AioRpcError, Failure):
            self._read_again = self._steady() + PRICES_AGAIN_SECONDS
        else:
            self._terms = _terms(answer)


class Tokens:
    """Asks auth for the public keys that caller tokens are signed with."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = tokens_pb2_grpc.TokensStub(channel)

    async def caller_keys(self) -> dict[str, bytes]:
        """Return the raw Ed25519 public keys by their kid."""
        answer = await self._stub.ListCallerKeys(tokens_pb2.ListCallerKeysRequest())
        return {key.kid: key.public_key for key in answer.keys}


def micros(amount: money_pb2.Money) -> int:
    """Return the micro-units of a Money."""
    return amount.units * _MICROS + amount.nanos // _NANOS


def money(micro_units: int, currency: str) -> money_pb2.Money:
    """Make a Money of micro-units that are not negative."""
    units, rest = divmod(micro_units, _MICROS)
    return money_pb2.Money(currency_code=currency, units=units, nanos=rest * _NANOS)


def _refusal(remote: RemoteFailure) -> Exception:
    """Turn a refusal of Authorize into ours, with the same metadata.

    HOLD_BARRED says that the clean-up was quicker than we: nothing is held, and the customer may order again.
    """
    if kind := _REFUSALS.get(remote.reason):
        metadata: dict[str, Any] = {key: text for key, text in remote.metadata.items() if key != "request_id"}
        return kind(retry_after=remote.retry_after, **metadata)
    if remote.reason in ("HOLD_BARRED", "PRICE_UNKNOWN"):
        return PEER_UNAVAILABLE(service="billing")
    if remote.reason in ("HOLD_DIFFERS", "FIELD_INVALID", "FIELD_REQUIRED", "PEER_NOT_ALLOWED"):
        return INTERNAL(request_id=remote.metadata.get("request_id", ""))
    return NotAnswered(remote.code)


def _settled(hold: wallets_pb2.Hold) -> Settled:
    if hold.state not in (wallets_pb2.Hold.CAPTURED, wallets_pb2.Hold.RELEASED):
        raise ValueError("billing ended a hold without saying how")
    return Settled(wallets_pb2.Hold.State.Name(hold.state), micros(hold.charged))


def _terms(answer: prices_pb2.ListPricesResponse) -> Terms:
    cheapest: dict[str, money_pb2.Money] = {}
    for rate in answer.price_books[0].rates if answer.price_books else ():
        known = cheapest.get(rate.model)
        if known is None or (rate.per_second.units, rate.per_second.nanos) < (known.units, known.nanos):
            cheapest[rate.model] = rate.per_second
    return Terms(cheapest, {prices_pb2.Outcome.Name(row.outcome): row.percent for row in answer.outcomes})

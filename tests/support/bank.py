"""A billing service for tests: its servicers on a real database, with money to give and terms to order by."""

import contextlib
import dataclasses
import datetime
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from filmgate.billing.v1 import wallets_pb2
from services.billing.__main__ import registrations
from services.billing.prices import book_cache
from services.billing.prices.book_cache import PriceBookCache
from services.billing.prices.domain import PriceBook
from services.billing.wallets import store
from services.billing.wallets.api import Wallets
from services.billing.wallets.domain import Line, Movement
from services.billing.wallets.expiry import ExpirySweep
from services.billing.wallets.invariants import violations
from services.billing.wallets.ledger import Ledger
from services.billing.wallets.tables import Lot, Wallet
from services.runtime import caller, ids
from services.runtime import profile as profiles
from services.runtime.caller import Call, Caller
from services.runtime.database import Database
from services.runtime.profile import Profile
from services.runtime.server import ServiceRegistration
from tests.support.clock import FakeClock
from tests.support.database import Server
from tests.support.profiles import used

CNY = 1_000_000
DAY = 86_400


def rules(trial: int = 0, open_videos: int = 3, valid_days: int = 30, profile: Profile | None = None) -> Profile:
    """Return a profile, the default if none is given, with another trial credit (micro-units) and other limits."""
    own = used(profile or profiles.load("default"))
    return dataclasses.replace(
        own,
        trial_credit=dataclasses.replace(own.trial_credit, amount_micros=trial, valid_days=valid_days),
        limits=dataclasses.replace(own.limits, open_videos_per_organization=open_videos),
    )


class Bank:
    """The parts of a billing process on one database and one clock."""

    def __init__(self, database: Database, clock: FakeClock, profile: Profile, journals_per_hour: int = 3600) -> None:
        self.database = database
        self.clock = clock
        self.book_cache = PriceBookCache(clock, clock.steady)
        self.ledger = Ledger(profile, self.book_cache, journals_per_hour)
        self.wallets = Wallets(database, self.ledger, clock)
        self.sweep = ExpirySweep(database, self.ledger, clock, 3600)

    @property
    def registrations(self) -> list[ServiceRegistration]:
        """What the process serves."""
        return registrations(self.database, self.book_cache, self.ledger, self.clock)

    async def publish(self, folder: Path = book_cache.FOLDER) -> None:
        """Publish the price books of a folder."""
        async with self.database.transaction() as session:
            await self.book_cache.publish(session, folder)

    async def books(self) -> Sequence[PriceBook]:
        """Return the published price books."""
        async with self.database.transaction() as session:
            return await self.book_cache.books(session)

    async def wallet(self, organization: str) -> wallets_pb2.Wallet:
        """Ask for a wallet as its owner."""
        with as_owner(organization):
            return await self.wallets.GetWallet(wallets_pb2.GetWalletRequest(), None)

    async def transactions(self, organization: str, **fields: Any) -> wallets_pb2.ListTransactionsResponse:
        """Ask for a page of transactions as their owner."""
        with as_owner(organization):
            return await self.wallets.ListTransactions(wallets_pb2.ListTransactionsRequest(**fields), None)

    async def capture(self, video: str, outcome: str = "SUCCEEDED") -> wallets_pb2.Hold:
        """End a hold by an outcome."""
        return await self.wallets.Capture(wallets_pb2.CaptureRequest(video=video, outcome=outcome), None)

    async def release(self, video: str) -> wallets_pb2.Hold:
        """End a hold without a charge."""
        return await self.wallets.Release(wallets_pb2.ReleaseRequest(video=video), None)

    async def authorize(self, request: wallets_pb2.AuthorizeRequest) -> wallets_pb2.Hold:
        """Ask for a hold."""
        return await self.wallets.Authorize(request, None)

    async def give(
        self, organization: str, amount: int, *, kind: str = "CASH", priority: int = 100, seconds: float | None = None
    ) -> str:
        """Give a lot of micro-units that ends after so many seconds (None: never); returns its id."""
        now = self.clock.now()
        end = None if seconds is None else now + datetime.timedelta(seconds=seconds)
        lot = Lot(
            id=ids.new("lot"), organization=organization, kind=kind, priority=priority, granted=amount,
            available=amount, held=0, expire_time=end, create_time=now,
        )  # fmt: skip
        lines = (Line("PROMOTION_EXPENSE", -amount), Line(f"CUSTOMER_{kind}", amount, lot.id))
        grant = Movement("GRANT", "test", lot.id, organization, "CNY", "A gift", lines)
        identity = lot.id
        async with self.database.transaction() as session:
            await self.ledger.open(session, organization, now)
            await store.lock_wallet(session, organization)
            wallet = await session.get_one(Wallet, organization)
            wallet.available += amount
            wallet.version += 1
            session.add(lot)
            await session.flush()
            await store.book(session, grant, now, 1_000_000)
        return identity

    async def violations(self) -> list[str]:
        """Ask the ledger what is wrong with it."""
        async with self.database.transaction() as session:
            return await violations(session)


@contextlib.asynccontextmanager
async def bank(
    postgres: Server, clock: FakeClock, *, journals_per_hour: int = 3600, books: Path = book_cache.FOLDER, **limits: Any
) -> AsyncIterator[Bank]:
    """Open a bank on a fresh database, with the price books of a folder; `limits` and `profile` as in `rules`."""
    async with postgres.database("billing") as database:
        opened = Bank(database, clock, rules(**limits), journals_per_hour)
        await opened.publish(books)
        yield opened


@contextlib.contextmanager
def as_owner(organization: str) -> Any:
    """Be the customer of an organization, as the interceptors would find them."""
    who = Caller(organization, ids.new("prj"), ids.new("acc"), scopes=frozenset({"billing.read"}))
    token = caller.enter(Call(caller=who))
    try:
        yield
    finally:
        caller.leave(token)


def order(organization: str, clock: FakeClock, **fields: Any) -> wallets_pb2.AuthorizeRequest:
    """Make an Authorize request for a new video of 5 s at 720p (0.50 CNY); fields replace what is there."""
    usage = {"model": "animatic", "resolution": "720p", "duration_seconds": 5}
    usage |= {name: fields.pop(name) for name in tuple(usage) if name in fields}
    request = wallets_pb2.AuthorizeRequest(
        video=ids.new("vid"), organization=organization, project="prj_01K9000000000000000000000B",
        account="acc_01K9000000000000000000000C", usage=usage, price_version=1,
    )  # fmt: skip
    request.expire_time.FromDatetime(clock.now() + datetime.timedelta(hours=1))
    request.MergeFrom(wallets_pb2.AuthorizeRequest(**fields))
    return request


def micros(money: Any) -> int:
    """The micro-units of a Money, which must be exact."""
    assert money.nanos % 1000 == 0
    return int(money.units * CNY + money.nanos // 1000)

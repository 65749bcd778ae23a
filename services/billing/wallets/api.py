"""The Wallets service: the wallet as its owner sees it, and the holds of the suite."""

import datetime
from typing import Any

from filmgate.billing.v1 import prices_pb2, wallets_pb2
from filmgate.privacy.v1.elements_pb2 import Element
from services.billing import errors
from services.billing.prices import money
from services.billing.wallets import domain, store
from services.billing.wallets.domain import Moment, Order, Terms
from services.billing.wallets.ledger import Busy, Ledger
from services.billing.wallets.tables import Lot, Wallet
from services.runtime import caller, ids, metrics, pages, telemetry
from services.runtime import errors as common
from services.runtime.caller import CALLER, SERVICE
from services.runtime.clock import Clock
from services.runtime.database import Database, Session

ACCESS = {
    "GetWallet": CALLER("billing.read"),
    "ListTransactions": CALLER("billing.read"),
    "Authorize": SERVICE("generation"),
    "Capture": SERVICE("generation", "worker"),
    "Release": SERVICE("generation", "worker"),
    "ListHolds": SERVICE("generation", "worker"),
}
log = telemetry.logger(__name__)


class Wallets:
    """Servicer of filmgate.billing.v1.Wallets."""

    def __init__(self, database: Database, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

    async def GetWallet(self, request: wallets_pb2.GetWalletRequest, _: Any) -> wallets_pb2.Wallet:
        """Return the caller's wallet, made with its trial credit at first use."""
        organization, now = caller.current().organization, self._clock.now()
        async with self._database.transaction() as session:
            found = await store.wallet_and_lots(session, organization)
            if found is None:
                await self._ledger.open(session, organization, now)
                found = await store.wallet_and_lots(session, organization)
        if found is None:
            raise common.NOT_FOUND(resource="wallet")
        return _wallet(*found, self._ledger.open_limit, now)

    async def ListTransactions(
        self, request: wallets_pb2.ListTransactionsRequest, _: Any
    ) -> wallets_pb2.ListTransactionsResponse:
        """List the movements of the caller's wallet, newest first."""
        organization, page = caller.current().organization, pages.page(request)
        async with self._database.transaction() as session:
            rows = await store.transactions(session, organization, page)
        shown, token = page.cut(rows, request, lambda row: (row.create_time, row.id))
        return wallets_pb2.ListTransactionsResponse(
            transactions=[_transaction(row) for row in shown], next_page_token=token
        )

    async def Authorize(self, request: wallets_pb2.AuthorizeRequest, _: Any) -> wallets_pb2.Hold:
        """Hold a video's price and its slot, or answer the hold that it has already, whatever its state now.

        A refusal changes nothing, so the same request may be tried again.
        """
        now = self._clock.now()
        try:
            async with self._database.autocommit() as session:
                row = await self._authorize(session, request, now, locked=False)
        except Busy:
            async with self._database.driver_transaction() as session:
                row = await self._authorize(session, request, now, locked=True)
        _count(row, "create_time", now)
        return _hold(row)

    async def _authorize(
        self, session: Session, request: wallets_pb2.AuthorizeRequest, now: Moment, *, locked: bool
    ) -> Any:
        terms, row, refusal = _terms(request), None, None
        try:
            order = await self._ledger.price(session, terms, _moment(request.expire_time), now)
            _check_max(request, order)
            row = await self._ledger.hold(session, order, now, locked=locked)
        except common.Failure as failure:
            refusal = failure
        if row is None:
            row = await store.hold_of(session, terms.video)
        if row is None and refusal:
            raise refusal
        domain.check_same(store.terms_of(row), terms)
        return row

    async def Capture(self, request: wallets_pb2.CaptureRequest, _: Any) -> wallets_pb2.Hold:
        """End a hold by its video's outcome, charging the outcome's share of it."""
        return await self._end(request.video, prices_pb2.Outcome.Name(request.outcome))

    async def Release(self, request: wallets_pb2.ReleaseRequest, _: Any) -> wallets_pb2.Hold:
        """End a hold without a charge, or bar the video against a later Authorize."""
        return await self._end(request.video, None)

    async def _end(self, video: str, outcome: str | None) -> wallets_pb2.Hold:
        _check_id("video", "vid", video)
        now = self._clock.now()
        try:
            async with self._database.autocommit() as session:
                row = await self._ledger.end(session, video, outcome, now)
        except Busy:
            async with self._database.driver_transaction() as session:
                row = await self._ledger.end(session, video, outcome, now, locked=True)
        _count(row, "end_time", now)
        return _hold(row)

    async def ListHolds(self, request: wallets_pb2.ListHoldsRequest, _: Any) -> wallets_pb2.ListHoldsResponse:
        """List open holds, oldest first; one that should long have ended raises an alarm, and is not ended."""
        page, now = pages.page(request), self._clock.now()
        async with self._database.transaction() as session:
            rows = await store.open_holds(session, page)
        shown, token = page.cut(rows, request, lambda row: (row.create_time, row.id))
        for row in shown:
            if row.expire_time <= now:
                log.error("hold_overdue", video=telemetry.of(Element.RESOURCE_ID, row.video))
        return wallets_pb2.ListHoldsResponse(holds=[_hold(row) for row in shown], next_page_token=token)


def _count(row: Any, changed: str, now: Moment) -> None:
    """Count a hold that was made or ended at this moment, and not one that the call found so."""
    if getattr(row, changed) == now:
        metrics.count("filmgate_holds_total", outcome=row.state.lower())


def _terms(request: wallets_pb2.AuthorizeRequest) -> Terms:
    for field, prefix in (("video", "vid"), ("organization", "org"), ("project", "prj"), ("account", "acc")):
        _check_id(field, prefix, getattr(request, field))
    usage = request.usage
    return Terms(
        request.video, request.organization, request.project, request.account,
        usage.model, usage.resolution, usage.duration_seconds, request.price_version,
    )  # fmt: skip


def _check_id(field: str, prefix: str, text: str) -> None:
    """What is stored for ever under an id must be one."""
    if not ids.is_id(prefix, text):
        raise common.FIELD_INVALID(field=field, limit=f"be an id of the form {prefix}_...")


def _check_max(request: wallets_pb2.AuthorizeRequest, order: Order) -> None:
    if not request.HasField("max_price"):
        return
    if request.max_price.currency_code != order.currency:
        raise common.FIELD_INVALID(field="max_price.currency_code", limit=f"be {order.currency}, the wallet's currency")
    most = money.read(request.max_price)
    if order.amount > most:
        price, limit = money.text(order.amount), money.text(most)
        raise errors.PRICE_ABOVE_MAX(price=price, max_price=limit, currency=order.currency)


def _moment(timestamp: Any) -> Moment:
    moment: Moment = timestamp.ToDatetime(tzinfo=datetime.UTC)
    return moment


def _wallet(wallet: Wallet, lots: list[Lot], limit: int, now: Moment) -> wallets_pb2.Wallet:
    """The wallet by its lots: what is past its date cannot be spent, booked or not."""
    made = wallets_pb2.Wallet(
        name=f"wallets/{wallet.organization}",
        lots=[_lot(lot, place, wallet.currency, now) for place, lot in enumerate(lots, 1)],
        open_videos=wallet.open_holds,
        open_videos_limit=limit,
        create_time=wallet.create_time,
    )
    available = sum(lot.available for lot in lots if not domain.is_over(lot.expire_time, now))
    made.available.CopyFrom(money.message(wallet.currency, available))
    made.held.CopyFrom(money.message(wallet.currency, wallet.held))
    return made


def _lot(lot: Lot, place: int, currency: str, now: Moment) -> wallets_pb2.Lot:
    available = 0 if domain.is_over(lot.expire_time, now) else lot.available
    return wallets_pb2.Lot(
        id=lot.id,
        kind=lot.kind,
        granted=money.message(currency, lot.granted),
        available=money.message(currency, available),
        held=money.message(currency, lot.held),
        expire_time=lot.expire_time,
        create_time=lot.create_time,
        burn_position=place,
    )


def _transaction(row: Any) -> wallets_pb2.Transaction:
    return wallets_pb2.Transaction(
        id=row.id,
        kind=row.kind,
        amount=money.message(row.currency, int(row.amount)),
        description=row.description,
        video=row.video or "",
        create_time=row.create_time,
        lots=row.lots,
    )


def _hold(row: Any) -> wallets_pb2.Hold:
    return wallets_pb2.Hold(
        id=row.id,
        video=row.video,
        state=row.state,
        amount=money.message(row.currency, row.amount),
        charged=None if row.charged is None else money.message(row.currency, row.charged),
        create_time=row.create_time,
        end_time=row.end_time,
        expire_time=row.expire_time,
        price_version=row.price_version or 0,
        organization=row.organization or "",
    )

"""What moves money, each with its journal in the same transaction: opening, authorizing, ending a hold, lapsing."""

import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.billing import audit, errors
from services.billing.prices import domain as prices
from services.billing.prices import money
from services.billing.prices.book_cache import PriceBookCache
from services.billing.wallets import domain, store
from services.billing.wallets.domain import Ending, Moment, Movement, Order, Terms
from services.runtime.config import StartFault
from services.runtime.database import Session
from services.runtime.profile import Profile

_RETRY_SECONDS = 10


class Busy(Exception):
    """Others have changed the wallet meanwhile: nothing is done, and it must be locked first."""


def _movements(row: Any, ending: Ending) -> list[Movement]:
    """What the end of a hold books: what is charged, and what comes back to lots past their dates."""
    terms, made = store.terms_of(row), []
    if ending.charged:
        made.append(domain.charge_of(terms, row.currency, ending))
    if ending.lapsed:
        made.append(domain.lapse_of_hold(terms, row.currency, ending))
    return made


class Ledger:
    """The operations on wallets; every method works in the caller's transaction at the moment that it is given."""

    def __init__(self, profile: Profile, book_cache: PriceBookCache, journals_per_hour: int) -> None:
        self.open_limit = profile.limits.open_videos_per_organization
        self._trial = profile.trial_credit
        self._book_cache = book_cache
        self._journals_per_hour = journals_per_hour

    async def currency(self, session: Session, now: Moment) -> str:
        """Return the currency of the price book in force, which is the currency of every wallet."""
        return prices.in_force(await self._book_cache.books(session), now).currency

    async def check(self, session: Session, now: Moment) -> None:
        """Raise StartFault when the profile gives its credit in another currency than the prices are in."""
        currency = await self.currency(session, now)
        if self._trial.amount_micros and self._trial.currency != currency:
            raise StartFault(f"the profile's trial credit is in {self._trial.currency}, the price book in {currency}")

    async def open(self, session: Session, organization: str, now: Moment) -> None:
        """Make the wallet with its trial credit unless it exists; of two at once one makes it, the other waits."""
        currency, lot = await self.currency(session, now), None
        if self._trial.amount_micros:
            end = now + datetime.timedelta(days=self._trial.valid_days)
            lot = store.promotional_lot(organization, self._trial.amount_micros, end, now)
        if await store.open_wallet(session, organization, currency, lot, now) and lot:
            await self._book(session, domain.grant_of_trial(organization, currency, lot.id, lot.granted), now)

    async def price(self, session: Session, terms: Terms, expire_time: Moment, now: Moment) -> Order:
        """Price the terms by their version of the book. Raises PRICE_UNKNOWN when it may not be held any more."""
        book = prices.book_for_hold(await self._book_cache.books(session), terms.price_version, now)
        if book is None:
            raise errors.PRICE_UNKNOWN(model=terms.model, resolution=terms.resolution)
        amount = prices.price(book, terms.model, terms.resolution, terms.duration_seconds)
        return Order(terms, book.currency, amount, expire_time)

    async def hold(self, session: Session, order: Order, now: Moment, *, locked: bool = False) -> Any | None:
        """Decide slot and money under the wallet's lock, and hold; returns the row. None: the video has one already.

        Without `locked` it is one statement, which needs no transaction around it, and raises Busy when the wallet was
        changed by others meanwhile or is not open yet; with it the wallet is opened and locked first. Raises
        WALLET_PARKED, TOO_MANY_OPEN_VIDEOS, BALANCE_TOO_LOW; nothing is changed then.
        """
        if locked and await store.lock_wallet(session, order.terms.organization) is None:
            await self.open(session, order.terms.organization, now)
            await store.lock_wallet(session, order.terms.organization)
        row = await store.hold(session, order, self.open_limit, now)
        if row is None or not row.fresh:
            raise Busy
        if row.park_time is not None:
            raise errors.WALLET_PARKED()
        if row.open_holds >= self.open_limit:
            raise errors.TOO_MANY_OPEN_VIDEOS(limit=self.open_limit, retry_after=_RETRY_SECONDS)
        if row.video is None and row.usable < order.amount:
            needs, available = money.text(order.amount), money.text(row.usable)
            raise errors.BALANCE_TOO_LOW(needs=needs, available=available, currency=order.currency)
        return row if row.video else None

    async def end(self, session: Session, video: str, outcome: str | None, now: Moment, *, locked: bool = False) -> Any:
        """End the hold of a video by its outcome (None: without a charge) and answer its row.

        An ended hold answers its recorded end; a video without a hold is barred. Without `locked` each statement is
        whole by itself, so no transaction is needed around them, and Busy is raised when one is.
        """
        while (found := await store.open_hold(session, video, locked=locked)) is None:
            row = await store.hold_of(session, video)
            if row is None:
                await store.bar(session, video, await self.currency(session, now), now)
            elif row.state != "HELD":  # else an Authorize came between the two looks: end its hold after all
                return row
        row, pieces = found
        book = await self._book_cache.book(session, row.price_version)
        ending = domain.end(pieces, outcome, book.outcomes.get(outcome or "", 0), now)
        movements = _movements(row, ending)
        if len(movements) > 1 and not locked:
            raise Busy
        alone = movements[0] if movements and not locked else None
        ended = await store.end_hold(session, video, ending, alone, now=now, most_per_hour=self._journals_per_hour)
        if ended is None:
            raise Busy
        for movement in movements if locked else ():
            await self._book(session, movement, now)
        return ended

    async def lapse(self, session: AsyncSession, organization: str, now: Moment) -> int:
        """Book the unspent rest of the lots past their dates; returns how many lots.

        What is held of them stays until its hold ends.
        """
        wallet = await store.lock_wallet(session, organization)
        lots = await store.empty_ended_lots(session, organization, now)
        for lot in lots:
            movement = domain.lapse_of_lot(
                organization=organization, currency=wallet.currency, lot=lot.id, kind=lot.kind,
                amount=lot.available, held=lot.held,
            )  # fmt: skip
            await self._book(session, movement, now)
        return len(lots)

    async def _book(self, session: Session, movement: Movement, now: Moment) -> None:
        if await store.book(session, movement, now, self._journals_per_hour):
            detail = {"kind": movement.kind, "limit": str(self._journals_per_hour)}
            await audit.record(
                session, actor="system", action="ParkWallet", subject=movement.organization, detail=detail, now=now
            )

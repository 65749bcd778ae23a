"""The rows of wallets, lots, holds and the journal. Amounts are integers in micro-units of the currency.

Only wallets, lots and, once, holds change; everything else is append only. The migration holds what keeps them true.
"""

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime.database import Base, Time, column, partial_index

Moment = datetime.datetime


class Wallet(Base):
    """Prepaid money of one organization; the row's lock orders everything that happens to it."""

    __tablename__ = "wallets"
    organization: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, primary_key=True)
    currency: Mapped[str] = column(Element.MONEY, sa.Text, nullable=False)
    available: Mapped[int] = column(Element.MONEY, sa.BigInteger, nullable=False)
    """What is not held, with what has lapsed but is not booked yet."""
    held: Mapped[int] = column(Element.MONEY, sa.BigInteger, nullable=False)
    open_holds: Mapped[int] = column(Element.MONEY, sa.Integer, nullable=False)
    version: Mapped[int] = column(Element.OPERATIONAL, sa.BigInteger, nullable=False)
    """Counts the changes."""
    park_time: Mapped[Moment | None] = column(Element.MONEY, Time)
    """When the safety brake parked it; None: it runs."""
    brake_time: Mapped[Moment | None] = column(Element.MONEY, Time)
    """The brake counts journals from here on: when an operator last released it."""
    create_time: Mapped[Moment] = column(Element.MONEY, Time, nullable=False)


class Lot(Base):
    """Money of one origin and end date within a wallet."""

    __tablename__ = "lots"
    id: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, primary_key=True)
    organization: Mapped[str] = column(Element.ORGANIZATION_ID, sa.ForeignKey("wallets.organization"), nullable=False)
    kind: Mapped[str] = column(Element.MONEY, sa.Text, nullable=False)
    """PROMOTIONAL or CASH."""
    priority: Mapped[int] = column(Element.MONEY, sa.Integer, nullable=False)
    """Smaller is spent first."""
    granted: Mapped[int] = column(Element.MONEY, sa.BigInteger, nullable=False)
    available: Mapped[int] = column(Element.MONEY, sa.BigInteger, nullable=False)
    held: Mapped[int] = column(Element.MONEY, sa.BigInteger, nullable=False)
    expire_time: Mapped[Moment | None] = column(Element.MONEY, Time)
    """From this moment on it cannot be spent; None: never."""
    create_time: Mapped[Moment] = column(Element.MONEY, Time, nullable=False)
    __table_args__ = (
        sa.Index("lots_with_money", "organization", postgresql_where=sa.text("available > 0 OR held > 0")),
        sa.Index("lots_by_end", "expire_time", postgresql_where=sa.text("available > 0")),
    )


class Hold(Base):
    """Money set aside for one video, or the bar against it (no organization). Once ended it never changes."""

    __tablename__ = "holds"
    video: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, primary_key=True)
    id: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, nullable=False, unique=True)
    organization: Mapped[str | None] = column(Element.ORGANIZATION_ID, sa.ForeignKey("wallets.organization"))
    project: Mapped[str | None] = column(Element.ORGANIZATION_ID, sa.Text)
    account: Mapped[str | None] = column(Element.ACCOUNT_ID, sa.Text)
    model: Mapped[str | None] = column(Element.GENERATION_PARAMETER, sa.Text)
    resolution: Mapped[str | None] = column(Element.GENERATION_PARAMETER, sa.Text)
    duration_seconds: Mapped[int | None] = column(Element.GENERATION_PARAMETER, sa.Integer)
    price_version: Mapped[int | None] = column(Element.MONEY, sa.ForeignKey("price_books.version"))
    currency: Mapped[str] = column(Element.MONEY, sa.Text, nullable=False)
    amount: Mapped[int] = column(Element.MONEY, sa.BigInteger, nullable=False)
    state: Mapped[str] = column(Element.MONEY, sa.Text, nullable=False)
    """HELD, CAPTURED or RELEASED."""
    charged: Mapped[int | None] = column(Element.MONEY, sa.BigInteger)
    outcome: Mapped[str | None] = column(Element.MONEY, sa.Text)
    """The outcome that captured it; None when it was released without one."""
    create_time: Mapped[Moment] = column(Element.MONEY, Time, nullable=False)
    end_time: Mapped[Moment | None] = column(Element.MONEY, Time)
    expire_time: Mapped[Moment | None] = column(Element.MONEY, Time)
    """When it should long have ended."""
    __table_args__ = (
        partial_index("holds_open", "organization"),
        partial_index("holds_open_by_time", "create_time", "id"),
    )


class HoldLot(Base):
    """What a hold took from one lot; `position` is the order in which it took them."""

    __tablename__ = "hold_lots"
    video: Mapped[str] = column(Element.RESOURCE_ID, sa.ForeignKey("holds.video"), primary_key=True)
    lot: Mapped[str] = column(Element.RESOURCE_ID, sa.ForeignKey("lots.id"), primary_key=True)
    position: Mapped[int] = column(Element.MONEY, sa.Integer, nullable=False)
    amount: Mapped[int] = column(Element.MONEY, sa.BigInteger, nullable=False)


class Journal(Base):
    """One movement of money; its entries sum to zero. The customer sees it as a transaction."""

    __tablename__ = "journals"
    id: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, primary_key=True)
    kind: Mapped[str] = column(Element.MONEY, sa.Text, nullable=False)
    """GRANT, CHARGE or EXPIRY."""
    scope: Mapped[str] = column(Element.MONEY, sa.Text, nullable=False)
    key: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, nullable=False)
    """With `scope`: what it was booked for, so that nothing is booked twice."""
    fingerprint: Mapped[str] = column(Element.MONEY, sa.Text, nullable=False)
    """Hash of what it does and says: kind, wallet, video, description and entries."""
    organization: Mapped[str] = column(Element.ORGANIZATION_ID, sa.ForeignKey("wallets.organization"), nullable=False)
    video: Mapped[str | None] = column(Element.RESOURCE_ID, sa.Text)
    description: Mapped[str] = column(Element.MONEY, sa.Text, nullable=False)
    lines: Mapped[int] = column(Element.MONEY, sa.Integer, nullable=False)
    """How many entries it has."""
    reverses: Mapped[str | None] = column(Element.RESOURCE_ID, sa.ForeignKey("journals.id"))
    """The journal that this one corrects."""
    effective_time: Mapped[Moment] = column(Element.MONEY, Time, nullable=False)
    create_time: Mapped[Moment] = column(Element.MONEY, Time, nullable=False)
    __table_args__ = (
        sa.UniqueConstraint("scope", "key"),
        sa.Index("journals_of_wallet", "organization", "create_time", "id"),
    )


class Entry(Base):
    """One line of a journal: positive when the account owns more after it. Business accounts are sums of these."""

    __tablename__ = "entries"
    id: Mapped[int] = column(Element.OPERATIONAL, sa.BigInteger, sa.Identity(always=True), primary_key=True)
    journal: Mapped[str] = column(Element.RESOURCE_ID, sa.ForeignKey("journals.id"), nullable=False, index=True)
    account: Mapped[str] = column(Element.MONEY, sa.Text, nullable=False)
    """Kind of account: CUSTOMER_PROMOTIONAL, CUSTOMER_CASH (with a lot), PROMOTION_EXPENSE, REVENUE, BREAKAGE."""
    organization: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, nullable=False)
    lot: Mapped[str | None] = column(Element.RESOURCE_ID, sa.ForeignKey("lots.id"), index=True)
    amount: Mapped[int] = column(Element.MONEY, sa.BigInteger, nullable=False)
    currency: Mapped[str] = column(Element.MONEY, sa.Text, nullable=False)

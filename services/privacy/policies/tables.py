"""Rows of policies, their texts and the receipts. All three are append-only."""

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, relationship

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime.database import Base, Time, column


class PolicyRow(Base):
    """One version of a published document."""

    __tablename__ = "policies"
    __table_args__ = (
        sa.UniqueConstraint("kind", "version"),
        sa.CheckConstraint("version > 0"),
        sa.Index("policies_newest", "publish_time", "id"),
    )
    id: Mapped[str] = column(Element.POLICY_TEXT, sa.Text, primary_key=True)
    kind: Mapped[str] = column(Element.POLICY_TEXT, sa.Text, nullable=False)
    version: Mapped[int] = column(Element.POLICY_TEXT, sa.Integer, nullable=False)
    effective_time: Mapped[datetime.datetime] = column(Element.POLICY_TEXT, Time, nullable=False)
    publish_time: Mapped[datetime.datetime] = column(Element.POLICY_TEXT, Time, nullable=False)
    texts: Mapped[list["PolicyTextRow"]] = relationship(
        lazy="selectin", order_by="PolicyTextRow.language", viewonly=True
    )


class PolicyTextRow(Base):
    """The text of a version in one language."""

    __tablename__ = "policy_texts"
    policy: Mapped[str] = column(Element.POLICY_TEXT, sa.Text, sa.ForeignKey("policies.id"), primary_key=True)
    language: Mapped[str] = column(Element.POLICY_TEXT, sa.Text, primary_key=True)
    title: Mapped[str] = column(Element.POLICY_TEXT, sa.Text, nullable=False)
    text: Mapped[str] = column(Element.POLICY_TEXT, sa.Text, nullable=False)
    sha256: Mapped[str] = column(Element.POLICY_TEXT, sa.Text, nullable=False)


class ReceiptRow(Base):
    """Proof that an account accepted a text: the first acceptance counts, and one is enough."""

    __tablename__ = "receipts"
    __table_args__ = (sa.UniqueConstraint("account", "policy"),)
    id: Mapped[str] = column(Element.ACCEPTANCE, sa.Text, primary_key=True)
    account: Mapped[str] = column(Element.ACCOUNT_ID, sa.Text, nullable=False)
    policy: Mapped[str] = column(Element.ACCEPTANCE, sa.Text, sa.ForeignKey("policies.id"), nullable=False)
    kind: Mapped[str] = column(Element.ACCEPTANCE, sa.Text, nullable=False)
    version: Mapped[int] = column(Element.ACCEPTANCE, sa.Integer, nullable=False)
    language: Mapped[str] = column(Element.ACCEPTANCE, sa.Text, nullable=False)
    sha256: Mapped[str] = column(Element.ACCEPTANCE, sa.Text, nullable=False)
    accept_time: Mapped[datetime.datetime] = column(Element.ACCEPTANCE, Time, nullable=False)
    method: Mapped[str] = column(Element.ACCEPTANCE, sa.Text, nullable=False)

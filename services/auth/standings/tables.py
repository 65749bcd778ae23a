"""Rows of acceptances and of policies in force, as privacy told them."""

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.check.tables import ChangeTracked
from services.runtime.database import Base, Time, column

TOLD = 1
"""The id of the only row of `policies_told`."""


class Acceptance(ChangeTracked, Base):
    """The newest version of a kind of policy that an account has accepted."""

    __tablename__ = "acceptances"
    account: Mapped[str] = column(Element.ACCOUNT_ID, sa.ForeignKey("accounts.id"), primary_key=True)
    kind: Mapped[str] = column(Element.ACCEPTANCE, sa.Text, primary_key=True)
    accepted: Mapped[int] = column(Element.ACCEPTANCE, sa.Integer, nullable=False)
    """The version of the policy."""
    receipt: Mapped[str] = column(Element.ACCEPTANCE, sa.Text, nullable=False)
    accept_time: Mapped[datetime.datetime] = column(Element.ACCEPTANCE, Time, nullable=False)


class PolicyInForce(ChangeTracked, Base):
    """A version of a policy and since when core calls need it; announced ones too."""

    __tablename__ = "policies_in_force"
    kind: Mapped[str] = column(Element.POLICY_TEXT, sa.Text, primary_key=True)
    number: Mapped[int] = column(Element.POLICY_TEXT, sa.Integer, primary_key=True)
    """The version of the policy."""
    policy: Mapped[str] = column(Element.POLICY_TEXT, sa.Text, nullable=False)
    effective_time: Mapped[datetime.datetime] = column(Element.POLICY_TEXT, Time, nullable=False)


class PoliciesTold(Base):
    """The one row that says that privacy has told its policies; without it nobody knows what core calls need."""

    __tablename__ = "policies_told"
    __table_args__ = (sa.CheckConstraint(f"id = {TOLD}"),)
    id: Mapped[int] = column(Element.OPERATIONAL, sa.SmallInteger, primary_key=True, autoincrement=False)

"""Rows of accounts and of their freezes."""

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.check.tables import ChangeTracked
from services.runtime.database import Base, Time, column


class Account(Base):
    """A person. Contact points and birth date are sealed under the account's own key; the indexes find them again."""

    __tablename__ = "accounts"
    id: Mapped[str] = column(Element.ACCOUNT_ID, sa.Text, primary_key=True)
    organization: Mapped[str] = column(
        Element.ORGANIZATION_ID, sa.ForeignKey("organizations.id"), nullable=False, index=True
    )
    project: Mapped[str] = column(Element.ORGANIZATION_ID, sa.ForeignKey("projects.id"), nullable=False)
    display_name: Mapped[str | None] = column(Element.DISPLAY_NAME, sa.Text)
    locale: Mapped[str | None] = column(Element.LOCALE, sa.Text)
    phone: Mapped[bytes | None] = column(Element.PHONE, sa.LargeBinary)
    phone_index: Mapped[bytes | None] = column(Element.CONTACT_INDEX, sa.LargeBinary, unique=True)
    email: Mapped[bytes | None] = column(Element.EMAIL, sa.LargeBinary)
    email_index: Mapped[bytes | None] = column(Element.CONTACT_INDEX, sa.LargeBinary, unique=True)
    birth_date: Mapped[bytes | None] = column(Element.BIRTH_DATE, sa.LargeBinary)
    age_statement: Mapped[bool | None] = column(Element.AGE_STATEMENT, sa.Boolean)
    profile_version: Mapped[str] = column(Element.OPERATIONAL, sa.Text, nullable=False)
    create_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    update_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)


class Freeze(ChangeTracked, Base):
    """A scope of an account that was frozen. A lifted freeze keeps its row: enforcement is to be remembered."""

    __tablename__ = "freezes"
    account: Mapped[str] = column(Element.ACCOUNT_ID, sa.ForeignKey("accounts.id"), primary_key=True)
    scope: Mapped[str] = column(Element.ACCOUNT_STANDING, sa.Text, primary_key=True)
    reason: Mapped[str] = column(Element.ACCOUNT_STANDING, sa.Text, nullable=False)
    actor: Mapped[str] = column(Element.AUDIT_DETAIL, sa.Text, nullable=False)
    create_time: Mapped[datetime.datetime] = column(Element.ACCOUNT_STANDING, Time, nullable=False)
    expire_time: Mapped[datetime.datetime | None] = column(Element.ACCOUNT_STANDING, Time)
    lift_time: Mapped[datetime.datetime | None] = column(Element.ACCOUNT_STANDING, Time)

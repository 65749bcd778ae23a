"""Rows of the public keys of caller tokens, and of service accounts."""

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime.database import Base, Time, column


class CallerKey(Base):
    """A public key that caller tokens may be signed with. Private keys are files, never rows."""

    __tablename__ = "caller_keys"
    kid: Mapped[str] = column(Element.OPERATIONAL, sa.Text, primary_key=True)
    public_key: Mapped[bytes] = column(Element.OPERATIONAL, sa.LargeBinary, nullable=False)
    publish_time: Mapped[datetime.datetime] = column(Element.OPERATIONAL, Time, nullable=False)
    start_time: Mapped[datetime.datetime] = column(Element.OPERATIONAL, Time, nullable=False)
    retire_time: Mapped[datetime.datetime | None] = column(Element.OPERATIONAL, Time)


class ServiceAccount(Base):
    """An internal service that may exchange its certificate for a caller token."""

    __tablename__ = "service_accounts"
    name: Mapped[str] = column(Element.OPERATIONAL, sa.Text, primary_key=True)
    """The first DNS name of its certificate."""
    id: Mapped[str] = column(Element.ACCOUNT_ID, sa.Text, nullable=False, unique=True)
    organization: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, nullable=False)
    project: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, nullable=False)
    scopes: Mapped[list[str]] = column(Element.CREDENTIAL_LABEL, sa.ARRAY(sa.Text), nullable=False)
    update_time: Mapped[datetime.datetime] = column(Element.OPERATIONAL, Time, nullable=False)

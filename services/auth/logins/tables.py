"""Rows of code flows, their limits, sessions and refresh tokens."""

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.check.tables import ChangeTracked
from services.runtime.database import Base, Time, column


class Flow(Base):
    """One code that was sent. Target and code are sealed under a key of the flow's own until it is over."""

    __tablename__ = "flows"
    id: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, primary_key=True)
    channel: Mapped[str] = column(Element.OPERATIONAL, sa.Text, nullable=False)
    purpose: Mapped[str] = column(Element.OPERATIONAL, sa.Text, nullable=False)
    locale: Mapped[str] = column(Element.LOCALE, sa.Text, nullable=False)
    target: Mapped[bytes] = column(Element.PHONE, sa.LargeBinary, nullable=False)
    target_index: Mapped[bytes] = column(Element.CONTACT_INDEX, sa.LargeBinary, nullable=False)
    code: Mapped[bytes | None] = column(Element.LOGIN_CODE, sa.LargeBinary)
    digest: Mapped[bytes] = column(Element.LOGIN_CODE, sa.LargeBinary, nullable=False)
    tries: Mapped[int] = column(Element.OPERATIONAL, sa.Integer, nullable=False)
    create_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False, index=True)
    expire_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    use_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)
    account: Mapped[str | None] = column(Element.ACCOUNT_ID, sa.Text)
    """Who used it, once used."""


class TargetSends(Base):
    """How many codes went to a target in its present hour and day."""

    __tablename__ = "target_sends"
    subject: Mapped[bytes] = column(Element.CONTACT_INDEX, sa.LargeBinary, primary_key=True)
    last_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    hour_start: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    hour_sent: Mapped[int] = column(Element.OPERATIONAL, sa.Integer, nullable=False)
    day_start: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    day_sent: Mapped[int] = column(Element.OPERATIONAL, sa.Integer, nullable=False)


class SourceSends(Base):
    """How many codes a source (a network, keyed and hashed) asked for in its present hour."""

    __tablename__ = "source_sends"
    subject: Mapped[bytes] = column(Element.IP_ADDRESS, sa.LargeBinary, primary_key=True)
    hour_start: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    hour_sent: Mapped[int] = column(Element.OPERATIONAL, sa.Integer, nullable=False)


class Session(ChangeTracked, Base):
    """A login of a person on a device, with its present access token and the one before, which runs out by itself."""

    __tablename__ = "sessions"
    __table_args__ = (sa.Index("sessions_of_account", "account", "create_time", "id"),)
    id: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, primary_key=True)
    account: Mapped[str] = column(Element.ACCOUNT_ID, sa.ForeignKey("accounts.id"), nullable=False)
    organization: Mapped[str] = column(Element.ORGANIZATION_ID, sa.ForeignKey("organizations.id"), nullable=False)
    project: Mapped[str] = column(Element.ORGANIZATION_ID, sa.ForeignKey("projects.id"), nullable=False)
    device_name: Mapped[str | None] = column(Element.USER_AGENT, sa.Text)
    user_agent: Mapped[str | None] = column(Element.USER_AGENT, sa.Text)
    ip_address: Mapped[str | None] = column(Element.IP_ADDRESS, sa.Text)
    create_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    last_seen_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    access_digest: Mapped[bytes] = column(Element.CREDENTIAL_DIGEST, sa.LargeBinary, nullable=False)
    access_expire_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    previous_digest: Mapped[bytes | None] = column(Element.CREDENTIAL_DIGEST, sa.LargeBinary)
    previous_expire_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)
    refresh_expire_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    end_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)


class RefreshToken(Base):
    """A refresh token, used ones too: the second use of one tells that somebody else has it."""

    __tablename__ = "refresh_tokens"
    digest: Mapped[bytes] = column(Element.CREDENTIAL_DIGEST, sa.LargeBinary, primary_key=True)
    session: Mapped[str] = column(
        Element.RESOURCE_ID, sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True
    )
    expire_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    use_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)
    nonce: Mapped[bytes | None] = column(Element.CREDENTIAL_DIGEST, sa.LargeBinary)
    """Drawn at the use; the successor is derived from it."""

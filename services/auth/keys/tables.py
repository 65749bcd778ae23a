"""Rows of API keys."""

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.auth.check.tables import ChangeTracked
from services.runtime.database import Base, Time, column


class Key(ChangeTracked, Base):
    """An API key; of its secret only a keyed hash."""

    __tablename__ = "keys"
    __table_args__ = (sa.Index("keys_of_project", "project", "create_time", "id"),)
    id: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, primary_key=True)
    organization: Mapped[str] = column(Element.ORGANIZATION_ID, sa.ForeignKey("organizations.id"), nullable=False)
    project: Mapped[str] = column(Element.ORGANIZATION_ID, sa.ForeignKey("projects.id"), nullable=False)
    account: Mapped[str] = column(Element.ACCOUNT_ID, sa.ForeignKey("accounts.id"), nullable=False, index=True)
    digest: Mapped[bytes] = column(Element.CREDENTIAL_DIGEST, sa.LargeBinary, nullable=False, unique=True)
    pepper: Mapped[int] = column(Element.OPERATIONAL, sa.SmallInteger, nullable=False)
    display_name: Mapped[str] = column(Element.CREDENTIAL_LABEL, sa.Text, nullable=False)
    scopes: Mapped[list[str]] = column(Element.CREDENTIAL_LABEL, sa.ARRAY(sa.Text), nullable=False)
    prefix: Mapped[str] = column(Element.CREDENTIAL_LABEL, sa.Text, nullable=False)
    last_four: Mapped[str] = column(Element.CREDENTIAL_LABEL, sa.Text, nullable=False)
    create_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    expire_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)
    revoke_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)


class KeyUse(Base):
    """When a key was last used: beside the key, so that using one does not look like a change of it."""

    __tablename__ = "key_uses"
    key: Mapped[str] = column(Element.RESOURCE_ID, sa.ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True)
    use_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)

"""Rows of notices."""

import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime.database import Base, Time, column


class Notice(Base):
    """A message to a person: template and parameters; never a contact point."""

    __tablename__ = "notices"
    id: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, primary_key=True)
    account: Mapped[str] = column(Element.ACCOUNT_ID, sa.ForeignKey("accounts.id"), nullable=False, index=True)
    template: Mapped[str] = column(Element.NOTICE_TEXT, sa.Text, nullable=False)
    parameters: Mapped[dict[str, str]] = column(Element.NOTICE_TEXT, JSONB, nullable=False)
    create_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    deliver_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)

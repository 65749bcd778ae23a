"""Rows of the audit log; a trigger and the grants keep them as they were written."""

import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime.database import Base, Time, column


class AuditEventRow(Base):
    """One action of an operator or of the system."""

    __tablename__ = "audit_events"
    __table_args__ = (
        sa.Index("audit_events_newest", "event_time", "id"),
        sa.Index("audit_events_of_subject", "subject", "event_time", "id"),
    )
    id: Mapped[str] = column(Element.AUDIT_DETAIL, sa.Text, primary_key=True)
    service: Mapped[str] = column(Element.AUDIT_DETAIL, sa.Text, nullable=False)
    recorder: Mapped[str] = column(Element.AUDIT_DETAIL, sa.Text, nullable=False)
    """Name on the certificate of the process that reported it."""
    actor: Mapped[str] = column(Element.AUDIT_DETAIL, sa.Text, nullable=False)
    action: Mapped[str] = column(Element.AUDIT_DETAIL, sa.Text, nullable=False)
    subject: Mapped[str] = column(Element.AUDIT_DETAIL, sa.Text, nullable=False)
    detail: Mapped[dict[str, str]] = column(Element.AUDIT_DETAIL, JSONB, nullable=False)
    event_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    record_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    request_id: Mapped[str] = column(Element.AUDIT_DETAIL, sa.Text, nullable=False)

"""Rows of moderation."""

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime.database import Base, Time, column


class VerdictRow(Base):
    """What moderation found about the prompt of one task. It holds no content and outlives a refused task."""

    __tablename__ = "moderation_verdicts"
    id: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, primary_key=True)
    organization: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, nullable=False)
    account: Mapped[str] = column(Element.ACCOUNT_ID, sa.Text, nullable=False)
    video: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, nullable=False)
    subject: Mapped[str] = column(Element.MODERATION_VERDICT, sa.Text, nullable=False)
    verdict: Mapped[str] = column(Element.MODERATION_VERDICT, sa.Text, nullable=False)
    category: Mapped[str] = column(Element.MODERATION_VERDICT, sa.Text, nullable=False)
    rules: Mapped[str] = column(Element.OPERATIONAL, sa.Text, nullable=False)
    create_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)

    __table_args__ = (
        sa.CheckConstraint(sa.column("verdict").in_(("PASSED", "REFUSED")), name="moderation_verdicts_verdict"),
        sa.Index("moderation_verdicts_video", "video"),
        sa.Index("moderation_verdicts_create_time", "create_time"),
    )

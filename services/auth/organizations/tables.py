"""Rows of organizations and projects."""

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime.database import Base, Time, column


class Organization(Base):
    """A tenant."""

    __tablename__ = "organizations"
    id: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, primary_key=True)
    display_name: Mapped[str | None] = column(Element.DISPLAY_NAME, sa.Text)
    personal: Mapped[bool] = column(Element.OPERATIONAL, sa.Boolean, nullable=False)
    create_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)


class Project(Base):
    """Owns keys, videos and files."""

    __tablename__ = "projects"
    id: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, primary_key=True)
    organization: Mapped[str] = column(
        Element.ORGANIZATION_ID, sa.ForeignKey("organizations.id"), nullable=False, index=True
    )
    display_name: Mapped[str | None] = column(Element.DISPLAY_NAME, sa.Text)
    create_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)

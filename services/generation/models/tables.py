"""Rows of models."""

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime.database import Base, Time, column


class ModelRow(Base):
    """A model that has been proven: it was loaded once. What it can do stands in catalog.yaml."""

    __tablename__ = "models"
    id: Mapped[str] = column(Element.OPERATIONAL, sa.Text, primary_key=True)
    first_ready_time: Mapped[datetime.datetime] = column(Element.OPERATIONAL, Time, nullable=False)
    last_ready_time: Mapped[datetime.datetime] = column(Element.OPERATIONAL, Time, nullable=False)


class ReportRow(Base):
    """The last report of a worker about a model: how many instances its Triton has loaded."""

    __tablename__ = "model_reports"
    model: Mapped[str] = column(Element.OPERATIONAL, sa.Text, primary_key=True)
    worker: Mapped[str] = column(Element.OPERATIONAL, sa.Text, primary_key=True)
    slots_ready: Mapped[int] = column(Element.OPERATIONAL, sa.Integer, nullable=False)
    report_time: Mapped[datetime.datetime] = column(Element.OPERATIONAL, Time, nullable=False)

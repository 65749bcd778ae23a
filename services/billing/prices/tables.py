"""The rows of the price book."""

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime.database import Base, Time, column


class StoredBook(Base):
    """A published version of the price book: append only."""

    __tablename__ = "price_books"
    version: Mapped[int] = column(Element.OPERATIONAL, sa.Integer, primary_key=True, autoincrement=False)
    effective_time: Mapped[datetime.datetime] = column(Element.OPERATIONAL, Time, nullable=False)
    content: Mapped[str] = column(Element.OPERATIONAL, sa.Text, nullable=False)
    """The whole book as canonical JSON."""
    create_time: Mapped[datetime.datetime] = column(Element.OPERATIONAL, Time, nullable=False)

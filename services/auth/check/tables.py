"""Columns of every table that the authorizer's feed reads."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime.database import column


class ChangeTracked:
    """Two marks that a trigger of the database sets on every insert and update; no code of ours writes them.

    `changed` is the id of the writing transaction, by which the feed finds what it has not seen. `version` counts the
    writes of the row under its lock, by which of two readings the newer wins (transaction ids are given out at a
    transaction's first write, so they do not order the writes of one row).
    """

    changed: Mapped[int] = column(Element.OPERATIONAL, sa.BigInteger, nullable=False, index=True, server_default="0")
    version: Mapped[int] = column(Element.OPERATIONAL, sa.BigInteger, nullable=False, server_default="0")

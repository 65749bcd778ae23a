"""Rows of files."""

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime.database import Base, Time, column

STATES = ("UPLOADING", "STAGING", "READY")


class FileRow(Base):
    """One object in the store: an uploaded picture (kind IMAGE) or a made video (kind VIDEO).

    The row is written before the bytes: UPLOADING (a picture) or STAGING (a video), READY when the bytes are whole.
    `delete_time` set: it is gone for everyone, and a job removes the bytes as soon as no open video needs them.
    """

    __tablename__ = "files"
    id: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, primary_key=True)
    organization: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, nullable=False)
    project: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, nullable=False)
    account: Mapped[str] = column(Element.ACCOUNT_ID, sa.Text, nullable=False)
    kind: Mapped[str] = column(Element.FILE_METADATA, sa.Text, nullable=False)
    state: Mapped[str] = column(Element.FILE_METADATA, sa.Text, nullable=False)
    object: Mapped[str] = column(Element.OUTPUT_VIDEO, sa.Text, nullable=False)
    video: Mapped[str | None] = column(Element.RESOURCE_ID, sa.Text)
    content_type: Mapped[str | None] = column(Element.FILE_METADATA, sa.Text)
    size_bytes: Mapped[int | None] = column(Element.FILE_METADATA, sa.BigInteger)
    sha256: Mapped[str | None] = column(Element.OUTPUT_VIDEO, sa.Text)
    width: Mapped[int | None] = column(Element.FILE_METADATA, sa.Integer)
    height: Mapped[int | None] = column(Element.FILE_METADATA, sa.Integer)
    frame_rate: Mapped[float | None] = column(Element.FILE_METADATA, sa.Float)
    duration_seconds: Mapped[float | None] = column(Element.FILE_METADATA, sa.Float)
    visible_seconds: Mapped[float | None] = column(Element.FILE_METADATA, sa.Float)
    visible_ink_percent: Mapped[float | None] = column(Element.FILE_METADATA, sa.Float)
    aigc: Mapped[str | None] = column(Element.FILE_METADATA, sa.Text)
    create_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    expire_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)
    delete_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)

    __table_args__ = (
        sa.CheckConstraint(sa.column("state").in_(STATES), name="files_state"),
        sa.CheckConstraint(sa.column("kind").in_(("IMAGE", "VIDEO")), name="files_kind"),
        sa.CheckConstraint("state <> 'READY' OR (size_bytes > 0 AND sha256 IS NOT NULL)", name="files_ready"),
        sa.Index("files_list", "project", "create_time", "id"),
        sa.Index("files_unready", "create_time", postgresql_where=sa.text("state <> 'READY'")),
        sa.Index(
            "files_expiry", "expire_time", postgresql_where=sa.text("expire_time IS NOT NULL AND delete_time IS NULL")
        ),
        sa.Index("files_video", "video", postgresql_where=sa.text("video IS NOT NULL")),
    )

"""Rows of videos."""

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped

from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime.database import Base, Time, column, partial_index

STATES = ("ADMITTING", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED")


class VideoRow(Base):
    """One task. `state` ADMITTING is never shown; `sequence` rises with every change that a watcher can see.

    `attempt` is the attempt of the job that runs it and fences the worker's writes. Money is in micro-units of
    `currency`. `outcome` is a name of billing's Outcome; it decides what is charged.
    """

    __tablename__ = "videos"
    id: Mapped[str] = column(Element.RESOURCE_ID, sa.Text, primary_key=True)
    organization: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, nullable=False)
    project: Mapped[str] = column(Element.ORGANIZATION_ID, sa.Text, nullable=False)
    account: Mapped[str] = column(Element.ACCOUNT_ID, sa.Text, nullable=False)
    request_id: Mapped[str] = column(Element.IDEMPOTENCY, sa.Text, nullable=False)
    external_id: Mapped[str | None] = column(Element.EXTERNAL_ID, sa.Text)
    state: Mapped[str] = column(Element.TASK_STATE, sa.Text, nullable=False)
    sequence: Mapped[int] = column(Element.TASK_STATE, sa.BigInteger, nullable=False)
    progress_percent: Mapped[int] = column(Element.TASK_STATE, sa.Integer, nullable=False)
    stage: Mapped[str] = column(Element.TASK_STATE, sa.Text, nullable=False)
    attempt: Mapped[int] = column(Element.TASK_STATE, sa.Integer, nullable=False)
    outcome: Mapped[str | None] = column(Element.TASK_STATE, sa.Text)

    model: Mapped[str] = column(Element.GENERATION_PARAMETER, sa.Text, nullable=False)
    prompt: Mapped[str | None] = column(Element.PROMPT, sa.Text)
    negative_prompt: Mapped[str | None] = column(Element.PROMPT, sa.Text)
    image: Mapped[str | None] = column(Element.RESOURCE_ID, sa.Text)
    duration_seconds: Mapped[int] = column(Element.GENERATION_PARAMETER, sa.Integer, nullable=False)
    resolution: Mapped[str] = column(Element.GENERATION_PARAMETER, sa.Text, nullable=False)
    aspect_ratio: Mapped[str] = column(Element.GENERATION_PARAMETER, sa.Text, nullable=False)
    seed: Mapped[int] = column(Element.GENERATION_PARAMETER, sa.BigInteger, nullable=False)
    camera: Mapped[dict[str, float] | None] = column(Element.GENERATION_PARAMETER, JSONB(none_as_null=True))
    width: Mapped[int] = column(Element.GENERATION_PARAMETER, sa.Integer, nullable=False)
    height: Mapped[int] = column(Element.GENERATION_PARAMETER, sa.Integer, nullable=False)
    frame_rate: Mapped[int] = column(Element.GENERATION_PARAMETER, sa.Integer, nullable=False)
    cost: Mapped[float] = column(Element.OPERATIONAL, sa.Float, nullable=False)

    quote_micros: Mapped[int | None] = column(Element.MONEY, sa.BigInteger)
    currency: Mapped[str | None] = column(Element.MONEY, sa.Text)
    price_version: Mapped[int | None] = column(Element.OPERATIONAL, sa.Integer)
    price_micros: Mapped[int | None] = column(Element.MONEY, sa.BigInteger)
    settlement: Mapped[str | None] = column(Element.TASK_STATE, sa.Text)

    output: Mapped[str | None] = column(Element.RESOURCE_ID, sa.Text)
    error_reason: Mapped[str | None] = column(Element.TASK_STATE, sa.Text)
    error_message: Mapped[str | None] = column(Element.ERROR_TEXT, sa.Text)
    error_metadata: Mapped[dict[str, Any] | None] = column(Element.ERROR_TEXT, JSONB(none_as_null=True))

    create_time: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    start_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)
    end_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)
    expire_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)
    start_deadline: Mapped[datetime.datetime] = column(Element.ACTIVITY_TIME, Time, nullable=False)
    delete_time: Mapped[datetime.datetime | None] = column(Element.ACTIVITY_TIME, Time)
    profile_version: Mapped[str] = column(Element.OPERATIONAL, sa.Text, nullable=False)

    __table_args__ = (
        sa.CheckConstraint(sa.column("state").in_(STATES), name="videos_state"),
        sa.CheckConstraint("progress_percent BETWEEN 0 AND 100", name="videos_progress"),
        sa.CheckConstraint("(end_time IS NOT NULL) = (settlement IS NOT NULL)", name="videos_settlement"),
        sa.CheckConstraint("state <> 'SUCCEEDED' OR output IS NOT NULL", name="videos_output"),
        sa.Index("videos_list", "project", "create_time", "id"),
        sa.Index(
            "videos_external_id", "project", "external_id", unique=True, postgresql_where=sa.text("delete_time IS NULL")
        ),
        partial_index("videos_open", "model"),
        sa.Index("videos_texts", "end_time", postgresql_where=sa.text("prompt IS NOT NULL")),
        sa.Index("videos_image", "image", postgresql_where=sa.text("image IS NOT NULL")),
    )

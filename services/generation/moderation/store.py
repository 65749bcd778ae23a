"""All SQL of the moderation room."""

import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.generation.moderation.tables import VerdictRow
from services.generation.videos.tables import VideoRow
from services.runtime import ids


def add(session: AsyncSession, video: VideoRow, category: str, rules: str, now: datetime.datetime) -> None:
    """Record the verdict about a video's prompt: the refused category, or empty for passed."""
    session.add(
        VerdictRow(
            id=ids.new("ver"),
            organization=video.organization,
            account=video.account,
            video=video.id,
            subject="PROMPT",
            verdict="REFUSED" if category else "PASSED",
            category=category,
            rules=rules,
            create_time=now,
        )
    )

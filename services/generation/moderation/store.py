"""All SQL of moderation."""

import datetime

import sqlalchemy as sa

from services.generation.moderation.tables import VerdictRow
from services.generation.videos.tables import VideoRow
from services.runtime import ids
from services.runtime.database import Session

_ADD = sa.insert(VerdictRow)


async def add(session: Session, video: VideoRow, category: str, rules: str, now: datetime.datetime) -> None:
    """Record the verdict about a video's prompt: the refused category, or empty for passed."""
    verdict = {
        "id": ids.new("ver"),
        "organization": video.organization,
        "account": video.account,
        "video": video.id,
        "subject": "PROMPT",
        "verdict": "REFUSED" if category else "PASSED",
        "category": category,
        "rules": rules,
        "create_time": now,
    }
    await session.execute(_ADD, verdict)

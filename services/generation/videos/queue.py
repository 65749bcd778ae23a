"""Where videos stand in the queue, and when they are likely to start."""

import datetime
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.generation.models import store as models
from services.generation.videos import domain, store
from services.generation.videos.domain import Place
from services.generation.videos.tables import VideoRow


async def places(session: AsyncSession, videos: Sequence[VideoRow], now: datetime.datetime) -> dict[str, Place]:
    """Answer the places of those videos that are QUEUED."""
    queued = {video.id: video.model for video in videos if video.state == "QUEUED"}
    if not queued:
        return {}
    names = sorted(set(queued.values()))
    standing = await store.positions(session, queued)
    busy = await store.running(session, names)
    capacities = await models.capacities(session, names, now)
    return {
        video_id: domain.place(*standing[video_id], *busy.get(model, (0, 0.0)), capacities[model].slots)
        for video_id, model in queued.items()
        if video_id in standing
    }


async def next_place(session: AsyncSession, model: str, tenant: str, cost: float, now: datetime.datetime) -> Place:
    """Answer the place that a video would get, were the tenant to order it now."""
    position, before = await store.next_position(session, model, tenant, cost)
    running, left = (await store.running(session, [model])).get(model, (0, 0.0))
    return domain.place(position, before, running, left, (await models.capacity(session, model, now)).slots)

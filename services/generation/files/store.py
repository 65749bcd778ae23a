"""All SQL of the files room."""

import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from services.generation.files import domain
from services.generation.files.domain import Made
from services.generation.files.tables import FileRow
from services.generation.videos.tables import VideoRow
from services.runtime import ids, jobs

REMOVE_OBJECTS = "remove_objects"


async def stage_output(session: AsyncSession, video: VideoRow, now: datetime.datetime) -> FileRow:
    """Write the row of a made video, STAGING, before its bytes are uploaded to `row.object`. Commit, then upload."""
    file_id = ids.new("fil")
    row = FileRow(
        id=file_id,
        organization=video.organization,
        project=video.project,
        account=video.account,
        kind="VIDEO",
        state="STAGING",
        object=domain.output_object(video.organization, video.id, file_id),
        video=video.id,
        content_type="video/mp4",
        create_time=now,
    )
    session.add(row)
    await session.flush()
    return row


async def publish_output(
    session: AsyncSession, file_id: str, made: Made, expire_time: datetime.datetime | None
) -> bool:
    """Make a staged output final, in the transaction that ends its video. False: it was swept meanwhile."""
    values = {**dataclasses.asdict(made), "state": "READY", "expire_time": expire_time}
    statement = sa.update(FileRow).where(
        FileRow.id == file_id, FileRow.state == "STAGING", FileRow.delete_time.is_(None)
    )
    return bool(await _rows(session, statement.values(values)))


async def get(session: AsyncSession, file_id: str) -> FileRow | None:
    """Answer a file for the suite itself, also one that is deleted while an open video still needs its bytes."""
    return await session.get(FileRow, file_id, populate_existing=True)


async def delete(session: AsyncSession, where: list[Any], now: datetime.datetime) -> list[str]:
    """Mark files as deleted and enqueue the removal of their bytes; answers their ids."""
    statement = sa.update(FileRow).where(FileRow.delete_time.is_(None), *where).values(delete_time=now)
    gone = (await session.execute(statement.returning(FileRow.id))).scalars().all()
    for file_id in gone:
        await jobs.enqueue(session, REMOVE_OBJECTS, f"{REMOVE_OBJECTS}:{file_id}", {"file": file_id})
    return list(gone)


async def sweep_unready(session: AsyncSession, now: datetime.datetime) -> list[str]:
    """Delete uploads and outputs that never became READY within 24 hours; answers their ids."""
    return await delete(session, [FileRow.state != "READY", FileRow.create_time < now - domain.UNREADY_FOR], now)


async def sweep_expired(session: AsyncSession, now: datetime.datetime) -> list[str]:
    """Delete files past their expire_time; answers their ids."""
    return await delete(session, [FileRow.expire_time <= now], now)


async def _rows(session: AsyncSession, statement: Any) -> int:
    result = await session.execute(statement, execution_options={"synchronize_session": False})
    return int(result.rowcount)  # type: ignore[attr-defined]

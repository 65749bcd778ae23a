"""All SQL of files."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from services.generation.files import domain
from services.generation.files.domain import Made
from services.generation.files.tables import FileRow
from services.generation.videos.tables import VideoRow
from services.runtime import ids, jobs
from services.runtime.caller import Caller
from services.runtime.database import Session, Time
from services.runtime.pages import Page

REMOVE_OBJECTS = "remove_objects"
_FRESH = {"synchronize_session": False, "populate_existing": True}


async def count_pictures(session: AsyncSession, project: str, now: datetime.datetime) -> int:
    """Count the pictures that a project keeps, on their way too; several at once may pass together."""
    query = sa.select(sa.func.count()).select_from(FileRow).where(FileRow.kind == "IMAGE", *_shown(project, now))
    return int(await session.scalar(query) or 0)


async def begin_upload(session: AsyncSession, who: Caller, now: datetime.datetime) -> FileRow:
    """Write the row of a picture, UPLOADING, before its bytes are read."""
    file_id = ids.new("fil")
    row = FileRow(
        id=file_id,
        organization=who.organization,
        project=who.project,
        account=who.account,
        kind="IMAGE",
        state="UPLOADING",
        object=domain.input_object(who.organization, file_id),
        create_time=now,
    )
    session.add(row)
    await session.flush()
    return row


async def finish_upload(session: AsyncSession, file_id: str, values: dict[str, Any]) -> FileRow | None:
    """Make a picture READY; the same again is answered again. None: it was deleted meanwhile, or never begun."""
    statement = sa.update(FileRow).where(
        FileRow.id == file_id, FileRow.state == "UPLOADING", FileRow.delete_time.is_(None)
    )
    result = await session.execute(
        statement.values(state="READY", **values).returning(FileRow), execution_options=_FRESH
    )
    same = [FileRow.id == file_id, FileRow.sha256 == values["sha256"], FileRow.delete_time.is_(None)]
    return result.scalar() or (await session.execute(sa.select(FileRow).where(*same))).scalar()


async def abandon_upload(session: AsyncSession, file_id: str) -> bool:
    """Remove the row of an upload that came to nothing, before media removes its bytes; return whether none is left.

    False: the row is of a file that is no upload any more, and is left as it is. Media calls without its customer, so
    what a customer was told to have is theirs alone to delete. A picture that became READY while the answer to that
    was lost stays too, listed and with its bytes, until it is deleted or expires.
    """
    await session.execute(sa.delete(FileRow).where(FileRow.id == file_id, FileRow.state == "UPLOADING"))
    return await session.scalar(sa.select(FileRow.id).where(FileRow.id == file_id)) is None


async def find(session: AsyncSession, project: str, file_id: str, now: datetime.datetime) -> FileRow | None:
    """Return a file of a project as its owner may see it."""
    return (await session.execute(sa.select(FileRow).where(FileRow.id == file_id, *_shown(project, now)))).scalar()


_PICTURE = sa.text("""
SELECT id, width, height FROM files WHERE id = :id AND kind = 'IMAGE' AND state = 'READY' AND project = :project
  AND delete_time IS NULL AND (expire_time IS NULL OR expire_time > :now) FOR SHARE
""").bindparams(
    sa.bindparam("id", type_=sa.Text), sa.bindparam("project", type_=sa.Text), sa.bindparam("now", type_=Time)
)


async def picture(session: Session, project: str, file_id: str, now: datetime.datetime) -> Any | None:
    """Return (id, width, height) of a picture to make a video from; it cannot be deleted before this transaction
    ends."""
    return (await session.execute(_PICTURE, {"id": file_id, "project": project, "now": now})).first()


async def page_of(session: AsyncSession, project: str, now: datetime.datetime, page: Page) -> Sequence[FileRow]:
    """Return a page (and one more) of the files of a project, newest first."""
    query = page.of(sa.select(FileRow).where(*_shown(project, now)), FileRow.create_time, FileRow.id)
    return (await session.scalars(query)).all()


async def expire_no_later_than(session: AsyncSession, file_id: str, moment: datetime.datetime) -> None:
    """Bring the expiry of a picture forward to a moment; never back."""
    statement = sa.update(FileRow).where(FileRow.id == file_id, FileRow.delete_time.is_(None))
    earlier = sa.func.least(FileRow.expire_time, moment)
    await session.execute(statement.values(expire_time=earlier), execution_options={"synchronize_session": False})


async def erase(session: AsyncSession, file_id: str) -> None:
    """Delete the row of a file whose bytes are gone."""
    await session.execute(sa.delete(FileRow).where(FileRow.id == file_id, FileRow.delete_time.is_not(None)))


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
    """Return a file for the suite itself, also one that is deleted while an open video still needs its bytes."""
    return await session.get(FileRow, file_id, populate_existing=True)


async def delete(session: AsyncSession, where: list[Any], now: datetime.datetime) -> list[str]:
    """Mark files as deleted and enqueue the removal of their bytes; returns their ids."""
    statement = sa.update(FileRow).where(FileRow.delete_time.is_(None), *where).values(delete_time=now)
    gone = (await session.execute(statement.returning(FileRow.id))).scalars().all()
    for file_id in gone:
        await jobs.enqueue(session, REMOVE_OBJECTS, f"{REMOVE_OBJECTS}:{file_id}", {"file": file_id}, now)
    return list(gone)


async def sweep_unready(session: AsyncSession, now: datetime.datetime) -> list[str]:
    """Delete uploads and outputs that never became READY within 24 hours; returns their ids."""
    return await delete(session, [FileRow.state != "READY", FileRow.create_time < now - domain.UNREADY_FOR], now)


async def sweep_expired(session: AsyncSession, now: datetime.datetime) -> list[str]:
    """Delete files past their expire_time; returns their ids."""
    return await delete(session, [FileRow.expire_time <= now], now)


def _shown(project: str, now: datetime.datetime) -> list[Any]:
    there = sa.or_(FileRow.expire_time.is_(None), FileRow.expire_time > now)
    return [FileRow.project == project, FileRow.state != "STAGING", FileRow.delete_time.is_(None), there]


async def _rows(session: AsyncSession, statement: Any) -> int:
    result = await session.execute(statement, execution_options={"synchronize_session": False})
    return int(result.rowcount)  # type: ignore[attr-defined]

"""All SQL of API keys."""

import datetime
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.auth.keys.tables import Key, KeyUse
from services.auth.organizations.tables import Project
from services.runtime.pages import Page


async def count_active(session: AsyncSession, project: str, now: datetime.datetime) -> int:
    """Count a project's active keys under the project's lock, so that two makers do not pass the limit together."""
    await session.execute(sa.select(Project.id).where(Project.id == project).with_for_update())
    query = (
        sa.select(sa.func.count())
        .select_from(Key)
        .where(
            Key.project == project,
            Key.revoke_time.is_(None),
            sa.or_(Key.expire_time.is_(None), Key.expire_time > now),
        )
    )
    return int((await session.scalar(query)) or 0)


async def count_made(session: AsyncSession, project: str, since: datetime.datetime) -> int:
    """Count the keys that a project has made since a moment, revoked ones too."""
    query = sa.select(sa.func.count()).select_from(Key).where(Key.project == project, Key.create_time > since)
    return int((await session.scalar(query)) or 0)


async def key(session: AsyncSession, key_id: str, project: str, *, lock: bool = False) -> Key | None:
    """Return a project's key, under its lock to change it."""
    query = sa.select(Key).where(Key.id == key_id, Key.project == project)
    return (await session.scalars(query.with_for_update() if lock else query)).one_or_none()


async def keys_of(session: AsyncSession, project: str, page: Page) -> Sequence[Key]:
    """Return a page of a project's keys, newest first."""
    query = sa.select(Key).where(Key.project == project)
    return (await session.scalars(page.of(query, Key.create_time, Key.id))).all()


async def uses_of(session: AsyncSession, key_ids: Sequence[str]) -> dict[str, datetime.datetime]:
    """Return when keys were last used; a key that never was is absent."""
    rows = await session.execute(sa.select(KeyUse.key, KeyUse.use_time).where(KeyUse.key.in_(key_ids)))
    return {row.key: row.use_time for row in rows}


async def note_uses(session: AsyncSession, uses: Mapping[str, datetime.datetime]) -> None:
    """Note the last uses that this process saw; an earlier moment never overwrites a later one."""
    known = (await session.scalars(sa.select(Key.id).where(Key.id.in_(list(uses))))).all()
    rows = [{"key": key_id, "use_time": uses[key_id]} for key_id in sorted(known)]
    if not rows:
        return
    statement = insert(KeyUse).values(rows)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["key"],
            set_={"use_time": sa.func.greatest(KeyUse.use_time, statement.excluded.use_time)},
        )
    )

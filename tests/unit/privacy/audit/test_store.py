"""The audit log on the real PostgreSQL: it only grows."""

import datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from services.privacy.audit import store
from services.privacy.audit.tables import AuditEventRow
from services.runtime import ids
from services.runtime.pages import Page
from tests.support.clock import START

CHANGES = ["UPDATE audit_events SET actor = 'x'", "DELETE FROM audit_events", "TRUNCATE audit_events"]


def event(subject: str = "acc_1", seconds: float = 0, **changes) -> AuditEventRow:
    fields = {
        "id": ids.new("evt"), "service": "auth", "recorder": "auth", "actor": "operator", "action": "FreezeAccount",
        "subject": subject, "detail": {"scope": "all"}, "event_time": START + datetime.timedelta(seconds=seconds),
        "record_time": START, "request_id": "",
    }  # fmt: skip
    return AuditEventRow(**{**fields, **changes})


async def record(database, *events: AuditEventRow) -> None:
    async with database.transaction() as session:
        for row in events:
            await store.record(session, row)


async def test_what_was_written_first_stands(database):
    await record(database, event(id="evt_1"))
    await record(database, event(id="evt_1", actor="somebody else"))
    async with database.transaction() as session:
        rows = await store.page_of(session, "", Page(10))
    assert [row.actor for row in rows] == ["operator"]


async def test_events_of_a_subject_come_newest_first(database):
    await record(database, event("acc_1", 1), event("acc_2", 2), event("acc_1", 3), event("acc_1", 2))
    async with database.transaction() as session:
        rows = await store.page_of(session, "acc_1", Page(10))
    assert [(row.event_time - START).seconds for row in rows] == [3, 2, 1]


@pytest.mark.parametrize("change", CHANGES)
async def test_the_service_role_cannot_change_the_log(database, change: str):
    await record(database, event())
    with pytest.raises(DBAPIError, match="permission denied"):
        async with database.transaction() as session:
            await session.execute(sa.text(change))


@pytest.mark.parametrize("change", CHANGES)
async def test_the_owner_is_stopped_by_the_trigger(postgres, change: str):
    owner_url, _ = postgres.urls("privacy")
    engine = create_async_engine(owner_url)
    try:
        with pytest.raises(DBAPIError, match="append-only"):
            async with engine.begin() as connection:
                await connection.execute(sa.text(change))
    finally:
        await engine.dispose()

"""All SQL of the audit log: it inserts and reads, nothing else."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.privacy.audit.tables import AuditEventRow
from services.runtime import metrics
from services.runtime.pages import Page


async def record(session: AsyncSession, event: AuditEventRow) -> None:
    """Insert an event; the same id again does nothing, whatever it says: what was written first stands."""
    values = {column.name: getattr(event, column.name) for column in AuditEventRow.__table__.columns}
    made = await session.execute(insert(AuditEventRow).values(values).on_conflict_do_nothing(index_elements=["id"]))
    metrics.count("filmgate_audit_events_total", made.rowcount)  # type: ignore[attr-defined]


async def page_of(session: AsyncSession, subject: str, page: Page) -> list[AuditEventRow]:
    """Return a page of events, newest first; of all subjects when `subject` is empty."""
    query = sa.select(AuditEventRow)
    if subject:
        query = query.where(AuditEventRow.subject == subject)
    return list(await session.scalars(page.of(query, AuditEventRow.event_time, AuditEventRow.id)))

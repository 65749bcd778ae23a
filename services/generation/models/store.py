"""All SQL of the models room."""

import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.generation.models import domain
from services.generation.models.tables import ModelRow, ReportRow
from services.runtime.database import Session

_NAMES = sa.bindparam("names", type_=ARRAY(sa.Text))


async def report(session: AsyncSession, model: str, worker: str, slots_ready: int, now: datetime.datetime) -> None:
    """Record how many instances of a model a worker has loaded (0 while it starts); the first proves the model."""
    entry = {"slots_ready": slots_ready, "report_time": now}
    await session.execute(
        insert(ReportRow)
        .values(model=model, worker=worker, **entry)
        .on_conflict_do_update(index_elements=["model", "worker"], set_=entry)
    )
    if slots_ready:
        await session.execute(
            insert(ModelRow)
            .values(id=model, first_ready_time=now, last_ready_time=now)
            .on_conflict_do_update(index_elements=["id"], set_={"last_ready_time": now})
        )


async def retire(session: AsyncSession, worker: str) -> None:
    """Forget the reports of a worker that has drained."""
    await session.execute(sa.delete(ReportRow).where(ReportRow.worker == worker))


_SEEN = sa.select(ModelRow.id, ModelRow.last_ready_time).where(ModelRow.id == sa.any_(_NAMES))
_REPORTS = sa.select(ReportRow.model, ReportRow.slots_ready, ReportRow.report_time).where(
    ReportRow.model == sa.any_(_NAMES)
)


async def capacity(session: Session, model: str, now: datetime.datetime) -> domain.Capacity:
    """Answer the capacity of one model."""
    return (await capacities(session, [model], now))[model]


async def capacities(session: Session, models: list[str], now: datetime.datetime) -> dict[str, domain.Capacity]:
    """Answer the capacities of models by id, also of those that never reported."""
    ready = {row.id: row.last_ready_time for row in await session.execute(_SEEN, {"names": models})}
    reports: dict[str, list[tuple[int, datetime.datetime]]] = {}
    for row in await session.execute(_REPORTS, {"names": models}):
        reports.setdefault(row.model, []).append((row.slots_ready, row.report_time))
    return {model: domain.capacity(now, ready.get(model), reports.get(model, [])) for model in models}


async def sweep_reports(session: AsyncSession, now: datetime.datetime) -> None:
    """Delete the reports of workers that are long gone."""
    await session.execute(sa.delete(ReportRow).where(ReportRow.report_time < now - domain.DOWN_AFTER * 60))

"""All SQL of models. Its `now` is the host's time: reports are signs of life, and no test moves them."""

import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.generation.models import domain
from services.generation.models.tables import ModelRow, ReportRow
from services.runtime.database import Session


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


_STANDING = sa.text("""
SELECT coalesce(models.id, reports.model) AS model, last_ready_time, slots_ready, report_time
FROM models FULL JOIN model_reports AS reports ON reports.model = models.id
WHERE coalesce(models.id, reports.model) = ANY(:names)
""")


async def capacity(session: Session, model: str, now: datetime.datetime) -> domain.Capacity:
    """Return the capacity of one model."""
    return (await capacities(session, [model], now))[model]


async def capacities(session: Session, models: list[str], now: datetime.datetime) -> dict[str, domain.Capacity]:
    """Return the capacities of models by id, also of those that never reported."""
    ready: dict[str, datetime.datetime | None] = {}
    reports: dict[str, list[tuple[int, datetime.datetime]]] = {}
    for row in await session.execute(_STANDING, {"names": models}):
        ready[row.model] = row.last_ready_time
        if row.report_time is not None:
            reports.setdefault(row.model, []).append((row.slots_ready, row.report_time))
    return {model: domain.capacity(now, ready.get(model), reports.get(model, [])) for model in models}


async def sweep_reports(session: AsyncSession, now: datetime.datetime) -> None:
    """Delete the reports of workers that are long gone."""
    await session.execute(sa.delete(ReportRow).where(ReportRow.report_time < now - domain.DOWN_AFTER * 60))

"""Audit events of billing: a job in the transaction of the action, which tells privacy's audit log of it."""

from datetime import datetime

from services.billing.clients import Audit
from services.runtime import ids, jobs
from services.runtime.database import Session
from services.runtime.jobs import Job
from services.runtime.runner import Handler

KIND = "record_event"


async def record(
    session: Session, *, actor: str, action: str, subject: str, detail: dict[str, str], now: datetime
) -> None:
    """Have an event recorded once this transaction is committed. `detail` holds codes, never a person's text."""
    event = ids.new("evt")
    payload = {"id": event, "actor": actor, "action": action, "subject": subject, "detail": detail}
    await jobs.enqueue(session, KIND, f"{KIND}:{event}", {**payload, "time": now.isoformat()}, now)


def handlers(client: Audit) -> dict[str, Handler]:
    """Return the handler that delivers the events, for the process's runner."""

    async def deliver(job: Job) -> None:
        event = dict(job.payload)
        event["event_time"] = datetime.fromisoformat(event.pop("time"))
        await client.record(**event)

    return {KIND: deliver}

"""The one service that auth calls: privacy, which keeps the audit log. Only ever by a job."""

import datetime
from collections.abc import Mapping

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncSession

from filmgate.privacy.v1 import audit_pb2, audit_pb2_grpc
from services.runtime import caller, ids, jobs


async def enqueue_audit(
    session: AsyncSession, action: str, subject: str, detail: Mapping[str, str], now: datetime.datetime
) -> None:
    """Have an action recorded in the audit log, in the transaction of the action. The actor is the calling peer."""
    event = {
        "id": ids.new("evt"), "actor": caller.peer() or "system", "action": action, "subject": subject,
        "detail": dict(detail), "event_time": now.isoformat(), "request_id": caller.request_id(),
    }  # fmt: skip
    await jobs.enqueue(session, "audit", f"audit:{event['id']}", event, now)


class Privacy:
    """Calls privacy's Audit."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._audit = audit_pb2_grpc.AuditStub(channel)

    async def record_event(self, job: jobs.Job) -> None:
        """Work off a job `audit`: idempotent by the event's id, tried until privacy has answered."""
        told = job.payload
        event = audit_pb2.AuditEvent(
            id=told["id"],
            service="auth",
            actor=told["actor"],
            action=told["action"],
            subject=told["subject"],
            detail=told["detail"],
            request_id=told["request_id"],
        )
        moment = Timestamp()
        moment.FromDatetime(datetime.datetime.fromisoformat(told["event_time"]))
        event.event_time.CopyFrom(moment)
        await self._audit.RecordEvent(audit_pb2.RecordEventRequest(event=event))

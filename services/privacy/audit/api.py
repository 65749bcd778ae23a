"""The Audit service of privacy/v1/audit.proto."""

import datetime
from typing import Any

from filmgate.privacy.v1 import audit_pb2, audit_pb2_grpc
from services.privacy.audit import domain, events, store
from services.privacy.audit.tables import AuditEventRow
from services.runtime import caller, ids, pages
from services.runtime.caller import SERVICE, STAFF
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import FIELD_INVALID

ACCESS = {
    "RecordEvent": SERVICE("auth", "billing", "generation", "worker", "media", "privacy"),
    "ListAuditEvents": STAFF("operator"),
}


class Audit(audit_pb2_grpc.AuditServicer):
    """Records and lists what operators and the system did."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def RecordEvent(self, request: audit_pb2.RecordEventRequest, _: Any) -> audit_pb2.RecordEventResponse:
        """Record an event. Raises FIELD_INVALID for a malformed id or detail, or another service's event."""
        event = request.event
        if not ids.is_id("evt", event.id):
            raise FIELD_INVALID(field="event.id", limit="be the id of an event")
        domain.check_source(event.service, caller.peer())
        domain.check_detail(event.detail)
        async with self._database.transaction() as session:
            await store.record(session, self._row(event))
        return audit_pb2.RecordEventResponse()

    async def ListAuditEvents(
        self, request: audit_pb2.ListAuditEventsRequest, _: Any
    ) -> audit_pb2.ListAuditEventsResponse:
        """List events, newest first. The look itself is recorded too, after what it saw."""
        page = pages.page(request)
        async with self._database.transaction() as session:
            rows = await store.page_of(session, request.subject, page)
            await store.record(
                session, events.own("ListAuditEvents", request.subject or "audit", {}, self._clock.now())
            )
        rows, token = page.cut(rows, request, key=lambda row: (row.event_time, row.id))
        return audit_pb2.ListAuditEventsResponse(events=[_message(row) for row in rows], next_page_token=token)

    def _row(self, event: audit_pb2.AuditEvent) -> AuditEventRow:
        return AuditEventRow(
            id=event.id,
            service=event.service,
            recorder=caller.peer(),
            actor=event.actor,
            action=event.action,
            subject=event.subject,
            detail=dict(event.detail),
            event_time=event.event_time.ToDatetime(tzinfo=datetime.UTC),
            record_time=self._clock.now(),
            request_id=event.request_id,
        )


def _message(row: AuditEventRow) -> audit_pb2.AuditEvent:
    message = audit_pb2.AuditEvent(
        id=row.id,
        service=row.service,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        detail=row.detail,
        request_id=row.request_id,
    )
    message.event_time.FromDatetime(row.event_time)
    return message

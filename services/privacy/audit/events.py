"""Events of the privacy service itself, written in the transaction of what they tell of."""

import datetime

from services.privacy.audit.tables import AuditEventRow
from services.runtime import caller, ids


def own(action: str, subject: str, detail: dict[str, str], now: datetime.datetime) -> AuditEventRow:
    """Make the row of something done in this service: by the calling peer, or by the system outside of a call."""
    return AuditEventRow(
        id=ids.new("evt"),
        service="privacy",
        recorder="privacy",
        actor=caller.peer() or "system",
        action=action,
        subject=subject,
        detail=detail,
        event_time=now,
        record_time=now,
        request_id=caller.request_id(),
    )

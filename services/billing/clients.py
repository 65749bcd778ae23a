"""The only door from billing to other services: auth (keys of caller tokens) and privacy (the audit log)."""

import datetime
from collections.abc import Mapping

import grpc

from filmgate.auth.v1 import tokens_pb2, tokens_pb2_grpc
from filmgate.privacy.v1 import audit_pb2, audit_pb2_grpc


class Tokens:
    """Asks auth for the public keys that caller tokens are signed with."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = tokens_pb2_grpc.TokensStub(channel)

    async def caller_keys(self) -> dict[str, bytes]:
        """Return the raw Ed25519 public keys by their kid."""
        answer = await self._stub.ListCallerKeys(tokens_pb2.ListCallerKeysRequest())
        return {key.kid: key.public_key for key in answer.keys}


class Audit:
    """Tells privacy's audit log what an operator or the system did here. May be repeated: the event's id decides."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = audit_pb2_grpc.AuditStub(channel)

    async def record(
        self,
        *,
        id: str,
        actor: str,
        action: str,
        subject: str,
        detail: Mapping[str, str],
        event_time: datetime.datetime,
    ) -> None:
        """Record one event."""
        event = audit_pb2.AuditEvent(
            id=id, service="billing", actor=actor, action=action, subject=subject, detail=dict(detail)
        )
        event.event_time.FromDatetime(event_time)
        await self._stub.RecordEvent(audit_pb2.RecordEventRequest(event=event))

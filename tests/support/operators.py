"""The operator's way in: gRPC with a certificate of the suite, straight to a service, past the edge."""

import contextlib
from collections.abc import AsyncIterator

import grpc

from deploy.local.suite import Suite
from filmgate.auth.v1 import accounts_pb2 as accounts
from filmgate.auth.v1 import accounts_pb2_grpc
from filmgate.privacy.v1 import audit_pb2, audit_pb2_grpc


@contextlib.asynccontextmanager
async def door(suite: Suite, service: str, certificate: str = "operator") -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel to `service` that shows `certificate`; an empty name shows none."""
    certs = suite.home / "certs"
    own = [(certs / f"{certificate}.{kind}").read_bytes() for kind in ("key", "crt")] if certificate else [None, None]
    credentials = grpc.ssl_channel_credentials((certs / "ca.crt").read_bytes(), *own)
    address = f"127.0.0.1:{suite.ports.of(service)}"
    options = [("grpc.ssl_target_name_override", service)]
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        yield channel


async def recorded(suite: Suite, subject: str) -> list[audit_pb2.AuditEvent]:
    """Return what was done to a subject, newest first; that one looks is on record too, and is left out."""
    async with door(suite, "privacy") as channel:
        stub = audit_pb2_grpc.AuditStub(channel)
        listed = await stub.ListAuditEvents(audit_pb2.ListAuditEventsRequest(subject=subject), timeout=5)
    return [event for event in listed.events if event.action != "ListAuditEvents"]


class Freezer:
    """Freezes accounts as the operator, and lifts whatever is left at the end."""

    def __init__(self, stub: accounts_pb2_grpc.AccountsStub) -> None:
        self._stub, self._frozen = stub, []

    async def freeze(self, account: str, scope: str) -> None:
        """Freeze an account in a scope."""
        request = accounts.FreezeAccountRequest(account=account, scope=scope, reason="abuse")
        self._frozen.append((account, scope))
        answer = await self._stub.FreezeAccount(request, timeout=5)
        assert [accounts.FreezeScope.Name(row.scope) for row in answer.freezes] == [scope]

    async def lift(self, account: str, scope: str) -> None:
        """Lift it."""
        await self._stub.UnfreezeAccount(accounts.UnfreezeAccountRequest(account=account, scope=scope), timeout=5)

    async def lift_all(self) -> None:
        """Lift all that this test froze."""
        for account, scope in self._frozen:
            await self.lift(account, scope)

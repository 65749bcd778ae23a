"""The servicer of Notices."""

from typing import Any

from filmgate.auth.v1 import notices_pb2, notices_pb2_grpc
from services.auth.accounts import store as accounts
from services.auth.notices import domain, store
from services.runtime.caller import SERVICE
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import NOT_FOUND
from services.runtime.server import ServiceRegistration

ACCESS = {"Notify": SERVICE("billing", "generation", "privacy", "worker", "auth")}


class Notices(notices_pb2_grpc.NoticesServicer):
    """Takes notices for accounts."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def registration(self) -> ServiceRegistration:
        """Return how the server takes this service in."""
        service = notices_pb2.DESCRIPTOR.services_by_name["Notices"]
        return ServiceRegistration(service, notices_pb2_grpc.add_NoticesServicer_to_server, self, ACCESS)

    async def Notify(self, request: notices_pb2.NotifyRequest, _context: Any) -> notices_pb2.NotifyResponse:
        """Store a notice and its delivery. Refuses an unknown account, template or parameter."""
        domain.check(request.template, request.parameters)
        async with self._database.transaction() as session:
            if await accounts.account(session, request.account) is None:
                raise NOT_FOUND(resource=f"account {request.account}")
            await store.add(
                session, request.id, request.account, request.template, request.parameters, now=self._clock.now()
            )
        return notices_pb2.NotifyResponse()

"""The servicer of Standings."""

import datetime
from typing import Any

from filmgate.auth.v1 import standings_pb2, standings_pb2_grpc
from services.auth.accounts import store as accounts
from services.auth.check.feed import Feed
from services.auth.standings import store
from services.runtime.caller import SERVICE
from services.runtime.database import Database
from services.runtime.errors import NOT_FOUND
from services.runtime.server import ServiceRegistration

ACCESS = {"RecordAcceptance": SERVICE("privacy"), "SetPoliciesInForce": SERVICE("privacy")}


class Standings(standings_pb2_grpc.StandingsServicer):
    """Takes from privacy what gates the edge; answers when the authorizer of this process knows it."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed

    def registration(self) -> ServiceRegistration:
        """Return how the server takes this service in."""
        service = standings_pb2.DESCRIPTOR.services_by_name["Standings"]
        return ServiceRegistration(service, standings_pb2_grpc.add_StandingsServicer_to_server, self, ACCESS)

    async def RecordAcceptance(
        self, request: standings_pb2.RecordAcceptanceRequest, _context: Any
    ) -> standings_pb2.RecordAcceptanceResponse:
        """Record that an account accepted a version of a policy."""
        async with self._database.transaction() as session:
            if await accounts.account(session, request.account) is None:
                raise NOT_FOUND(resource=f"account {request.account}")
            await store.record_acceptance(
                session,
                request.account,
                request.policy_kind,
                accepted=request.version,
                receipt=request.receipt,
                accept_time=request.accept_time.ToDatetime(datetime.UTC),
            )
        await self._feed.catch_up()
        return standings_pb2.RecordAcceptanceResponse()

    async def SetPoliciesInForce(
        self, request: standings_pb2.SetPoliciesInForceRequest, _context: Any
    ) -> standings_pb2.SetPoliciesInForceResponse:
        """Set the published versions of all policies, and that they are known: core calls are judged from then on."""
        policies = [
            {
                "kind": told.policy_kind,
                "number": told.version,
                "policy": told.policy,
                "effective_time": told.effective_time.ToDatetime(datetime.UTC),
            }
            for told in request.policies
        ]
        async with self._database.transaction() as session:
            await store.set_policies(session, policies)
        await self._feed.catch_up()
        return standings_pb2.SetPoliciesInForceResponse()

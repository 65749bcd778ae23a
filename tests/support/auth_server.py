"""An auth that keeps what privacy tells it: the world outside of the privacy service, over real gRPC."""

import asyncio
from typing import Any

from filmgate.auth.v1 import standings_pb2, standings_pb2_grpc, tokens_pb2, tokens_pb2_grpc
from services.runtime import server
from services.runtime.caller import SERVICE
from services.runtime.server import ServiceRegistration
from tests.support import rpc

_STANDINGS = {"RecordAcceptance": SERVICE("privacy"), "SetPoliciesInForce": SERVICE("privacy")}
_TOKENS = {"ListCallerKeys": SERVICE("privacy", "billing"), "Exchange": SERVICE()}


class AuthServer(standings_pb2_grpc.StandingsServicer, tokens_pb2_grpc.TokensServicer):
    """Starts, stops and starts again on one port; `accepted` and `in_force` hold the requests in their order."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted: list[standings_pb2.RecordAcceptanceRequest] = []
        self.in_force: list[standings_pb2.SetPoliciesInForceRequest] = []
        self._server: server.Server | None = None
        self._told = asyncio.Event()

    @property
    def address(self) -> str:
        """host:port, known after the first start."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on the port of the first start."""
        standings = standings_pb2.DESCRIPTOR.services_by_name["Standings"]
        tokens = tokens_pb2.DESCRIPTOR.services_by_name["Tokens"]
        registrations = [
            ServiceRegistration(standings, standings_pb2_grpc.add_StandingsServicer_to_server, self, _STANDINGS),
            ServiceRegistration(tokens, tokens_pb2_grpc.add_TokensServicer_to_server, self, _TOKENS),
        ]
        self._server = server.build(rpc.settings("auth"), registrations, port=self.port)
        self.port = self._server.port
        await self._server.start()

    async def stop(self) -> None:
        """End at once, as a killed process does."""
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def wait_for(self, accepted: int = 0, in_force: int = 0) -> None:
        """Wait until that many requests have come. Raises TimeoutError after 20 s."""
        async with asyncio.timeout(60):
            while len(self.accepted) < accepted or len(self.in_force) < in_force:
                self._told.clear()
                await self._told.wait()

    async def ListCallerKeys(self, request: Any, _: Any) -> tokens_pb2.ListCallerKeysResponse:
        """Return the key of the tests."""
        keys = await rpc.fetch_keys()
        return tokens_pb2.ListCallerKeysResponse(
            keys=[tokens_pb2.CallerKey(kid=kid, public_key=key) for kid, key in keys.items()]
        )

    async def RecordAcceptance(self, request: Any, _: Any) -> standings_pb2.RecordAcceptanceResponse:
        """Keep the request."""
        self.accepted.append(request)
        self._told.set()
        return standings_pb2.RecordAcceptanceResponse()

    async def SetPoliciesInForce(self, request: Any, _: Any) -> standings_pb2.SetPoliciesInForceResponse:
        """Keep the request."""
        self.in_force.append(request)
        self._told.set()
        return standings_pb2.SetPoliciesInForceResponse()

"""The only door from privacy to another service: auth."""

import datetime
from collections.abc import Iterable
from typing import NamedTuple

import grpc

from filmgate.auth.v1 import standings_pb2, standings_pb2_grpc, tokens_pb2, tokens_pb2_grpc


class Published(NamedTuple):
    """A published version of a policy: its kind, id and number, and from when on its acceptance is needed."""

    kind: str
    policy: str
    number: int
    effective_time: datetime.datetime


class Tokens:
    """Asks auth for the public keys that caller tokens are signed with."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = tokens_pb2_grpc.TokensStub(channel)

    async def caller_keys(self) -> dict[str, bytes]:
        """Return the raw Ed25519 public keys by their kid."""
        answer = await self._stub.ListCallerKeys(tokens_pb2.ListCallerKeysRequest())
        return {key.kid: key.public_key for key in answer.keys}


class Standings:
    """Tells auth what gates the edge. Both calls may be repeated."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = standings_pb2_grpc.StandingsStub(channel)

    async def record_acceptance(
        self, *, account: str, kind: str, version: int, receipt: str, accept_time: datetime.datetime
    ) -> None:
        """Tell that an account accepted a version of a policy."""
        request = standings_pb2.RecordAcceptanceRequest(
            account=account, policy_kind=kind, version=version, receipt=receipt
        )
        request.accept_time.FromDatetime(accept_time)
        await self._stub.RecordAcceptance(request)

    async def set_policies_in_force(self, policies: Iterable[Published]) -> None:
        """Tell all published versions of all policies."""
        request = standings_pb2.SetPoliciesInForceRequest()
        for version in policies:
            told = request.policies.add(policy_kind=version.kind, policy=version.policy, version=version.number)
            told.effective_time.FromDatetime(version.effective_time)
        await self._stub.SetPoliciesInForce(request)

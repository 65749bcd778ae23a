"""The only door from privacy to another service: auth."""

import datetime

import grpc

from filmgate.auth.v1 import standings_pb2, standings_pb2_grpc, tokens_pb2, tokens_pb2_grpc


class Tokens:
    """Asks auth for the public keys that caller tokens are signed with."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = tokens_pb2_grpc.TokensStub(channel)

    async def caller_keys(self) -> dict[str, bytes]:
        """Answer the raw Ed25519 public keys by their kid."""
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

    async def set_policy_in_force(
        self, *, kind: str, policy: str, version: int, effective_time: datetime.datetime
    ) -> None:
        """Tell which version of a policy is needed from its effective time on; sent as soon as it is published."""
        request = standings_pb2.SetPolicyInForceRequest(policy_kind=kind, policy=policy, version=version)
        request.effective_time.FromDatetime(effective_time)
        await self._stub.SetPolicyInForce(request)

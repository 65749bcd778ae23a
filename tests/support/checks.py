"""Calls as Envoy asks about them, and the answers as a client of the edge reads them."""

import datetime
import json

from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp

from filmgate.auth.v1 import standings_pb2
from filmgate.auth.v1.standings_pb2_grpc import StandingsStub

GET = "filmgate.generation.v1.Videos/GetVideo"
CREATE = "filmgate.generation.v1.Videos/CreateVideo"
ACCEPT = "filmgate.privacy.v1.Policies/AcceptPolicy"
EXTENSIONS = ("audience", "gate", "strictness", "scope")


class Refusal:
    """A refusal as a client of the edge reads it."""

    def __init__(self, answer: external_auth_pb2.CheckResponse) -> None:
        denied = answer.denied_response
        self.status = denied.status.code
        self.headers = {row.header.key: row.header.value for row in denied.headers}
        self.body = json.loads(denied.body)
        self.info = self.body["details"][0]
        self.reason, self.metadata = self.info["reason"], self.info["metadata"]
        self.code = answer.status.code


def request(credential: str = "", method: str = GET, body: bytes = b"", **fields) -> external_auth_pb2.CheckRequest:
    """A request as Envoy makes it of a call."""
    extensions = {"audience": "generation", "method": method, "gate": "CORE", "strictness": "STRICT"}
    extensions |= {"scope": "video.read"} | {key: value for key, value in fields.items() if key in EXTENSIONS}
    asked = external_auth_pb2.CheckRequest()
    http = asked.attributes.request.http
    http.method, http.path, http.raw_body = fields.get("verb", "GET"), fields.get("path", "/v1/videos/vid_x"), body
    http.headers["x-request-id"] = "req-1"
    if credential:
        http.headers["authorization"] = fields.get("header", f"Bearer {credential}")
    asked.attributes.context_extensions.update(extensions)
    return asked


async def check(auth, *arguments, **fields) -> external_auth_pb2.CheckResponse:
    stub = auth.stub(external_auth_pb2_grpc.AuthorizationStub)
    return await stub.Check(request(*arguments, **fields))


async def passes(auth, *arguments, **fields) -> str:
    """Expect the call to pass; returns the caller token."""
    answer = await check(auth, *arguments, **fields)
    assert answer.status.code == 0, answer.denied_response.body
    headers = {row.header.key: row.header.value for row in answer.ok_response.headers}
    assert list(answer.ok_response.headers_to_remove) == ["authorization"]
    return headers["x-filmgate-caller"]


async def refused(auth, reason: str, *arguments, **fields) -> Refusal:
    """Expect a refusal with a reason."""
    answer = await check(auth, *arguments, **fields)
    assert answer.status.code, "it passed"
    found = Refusal(answer)
    assert found.reason == reason, found.body
    return found


def at(moment: datetime.datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


async def set_policy(auth, version: int = 1, seconds: float = 0, kind: str = "privacy") -> None:
    effective = at(auth.clock.now() + datetime.timedelta(seconds=seconds))
    policy = standings_pb2.PolicyInForce(policy_kind=kind, policy="pol_1", version=version, effective_time=effective)
    await tell_policies(auth, policy)


async def tell_policies(auth, *policies: standings_pb2.PolicyInForce) -> None:
    """Tell auth what is published, as privacy does it after each start and each publication."""
    told = standings_pb2.SetPoliciesInForceRequest(policies=policies)
    await auth.stub(StandingsStub, "privacy").SetPoliciesInForce(told)


async def accept(auth, account: str, version: int = 1, kind: str = "privacy") -> None:
    await auth.stub(StandingsStub, "privacy").RecordAcceptance(
        standings_pb2.RecordAcceptanceRequest(
            account=account, policy_kind=kind, version=version, receipt="rcp_1", accept_time=at(auth.clock.now())
        )
    )

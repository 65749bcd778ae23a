"""What privacy tells, over real gRPC: kept, and known to the authorizer when it is answered."""

import datetime

import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from filmgate.auth.v1 import standings_pb2, standings_pb2_grpc
from services.auth.standings.tables import Acceptance, PolicyInForce
from tests.support import rpc


def at(moment: datetime.datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def acceptance(auth, account: str, version: int, receipt: str = "rcp_1") -> standings_pb2.RecordAcceptanceRequest:
    return standings_pb2.RecordAcceptanceRequest(
        account=account, policy_kind="privacy", version=version, receipt=receipt, accept_time=at(auth.clock.now())
    )


def policies(auth, *versions: tuple[int, float]) -> standings_pb2.SetPoliciesInForceRequest:
    """Each version with the seconds until its effective time."""
    request = standings_pb2.SetPoliciesInForceRequest()
    for version, seconds in versions:
        effective = at(auth.clock.now() + datetime.timedelta(seconds=seconds))
        request.policies.add(policy_kind="privacy", policy="pol_1", version=version, effective_time=effective)
    return request


async def test_an_acceptance_is_kept_with_its_version_receipt_and_time(auth):
    person = await auth.register()
    stub = auth.stub(standings_pb2_grpc.StandingsStub, "privacy")
    request = acceptance(auth, person.account, 2)
    for _ in range(2):
        await stub.RecordAcceptance(request)
    async with auth.database.transaction() as session:
        row = (await session.scalars(sa.select(Acceptance))).one()
    assert (row.accepted, row.receipt, row.accept_time) == (2, "rcp_1", auth.clock.now())
    assert auth.house.directory.accepted(person.account) == {"privacy": 2}


async def test_of_two_acceptances_the_newer_version_stays(auth):
    person = await auth.register()
    stub = auth.stub(standings_pb2_grpc.StandingsStub, "privacy")
    for version in (2, 3, 1):
        await stub.RecordAcceptance(acceptance(auth, person.account, version, f"rcp_{version}"))
    async with auth.database.transaction() as session:
        row = (await session.scalars(sa.select(Acceptance))).one()
    assert (row.accepted, row.receipt) == (3, "rcp_3")
    assert auth.house.directory.accepted(person.account) == {"privacy": 3}


async def test_policies_are_kept_by_version_and_may_be_announced(auth):
    stub = auth.stub(standings_pb2_grpc.StandingsStub, "privacy")
    for request in (policies(auth, (2, 3600)), policies(auth, (2, 60), (1, 0)), policies(auth)):
        await stub.SetPoliciesInForce(request)
    async with auth.database.transaction() as session:
        rows = (await session.scalars(sa.select(PolicyInForce).order_by(PolicyInForce.number))).all()
    later = auth.clock.now() + datetime.timedelta(seconds=60)
    assert [(row.number, row.effective_time) for row in rows] == [(1, auth.clock.now()), (2, later)]
    known = {row.number: row.effective for row in auth.house.directory.policies["privacy"]}
    assert known == {1: auth.clock.now().timestamp(), 2: later.timestamp()}


async def test_an_unknown_account_is_not_found(auth):
    stub = auth.stub(standings_pb2_grpc.StandingsStub, "privacy")
    async with rpc.refused(reason="NOT_FOUND"):
        await stub.RecordAcceptance(acceptance(auth, "acc_x", 1))


@pytest.mark.parametrize("peer", ["edge", "billing", "operator"])
async def test_only_privacy_tells(auth, peer):
    stub = auth.stub(standings_pb2_grpc.StandingsStub, peer)
    for call in (stub.RecordAcceptance(acceptance(auth, "acc_x", 1)), stub.SetPoliciesInForce(policies(auth))):
        async with rpc.refused(reason="PEER_NOT_ALLOWED"):
            await call


async def test_a_version_is_at_least_one(auth):
    stub = auth.stub(standings_pb2_grpc.StandingsStub, "privacy")
    for version, reason in ((0, "FIELD_REQUIRED"), (-1, "FIELD_INVALID")):
        async with rpc.refused(reason=reason):
            await stub.SetPoliciesInForce(policies(auth, (1, 0), (version, 0)))
    assert auth.house.directory.policies == {}

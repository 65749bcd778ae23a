"""The Audit service over real gRPC."""

import datetime

import pytest
from grpc import StatusCode

from filmgate.privacy.v1 import audit_pb2, audit_pb2_grpc
from services.runtime import ids
from tests.support import rpc
from tests.support.clock import START


@pytest.fixture
def auth_stub(served):
    return served.stub(audit_pb2_grpc.AuditStub, peer="auth")


@pytest.fixture
def operator(served):
    return served.stub(audit_pb2_grpc.AuditStub, peer="operator")


def event(seconds: float = 0, **changes) -> audit_pb2.RecordEventRequest:
    fields = {
        "id": ids.new("evt"),
        "service": "auth",
        "actor": "operator",
        "action": "FreezeAccount",
        "subject": "acc_1",
    }
    message = audit_pb2.AuditEvent(**{**fields, **changes}, detail={"scope": "all", "reason": "abuse"})
    message.event_time.FromDatetime(START + datetime.timedelta(seconds=seconds))
    return audit_pb2.RecordEventRequest(event=message)


async def events_of(operator, subject: str) -> list[audit_pb2.AuditEvent]:
    return list((await operator.ListAuditEvents(audit_pb2.ListAuditEventsRequest(subject=subject))).events)


async def test_an_event_is_listed_as_it_was_recorded(auth_stub, operator):
    request = event(request_id="req_1")
    await auth_stub.RecordEvent(request)
    assert await events_of(operator, "acc_1") == [request.event]


async def test_the_same_id_again_does_nothing(auth_stub, operator):
    first = event()
    await auth_stub.RecordEvent(first)
    await auth_stub.RecordEvent(first)
    await auth_stub.RecordEvent(event(id=first.event.id, action="Other"))
    assert await events_of(operator, "acc_1") == [first.event]


@pytest.mark.parametrize("peer", ["auth", "billing", "generation", "worker", "media", "privacy"])
async def test_every_service_records(served, operator, peer: str):
    stub = served.stub(audit_pb2_grpc.AuditStub, peer=peer)
    service = "generation" if peer in ("worker", "media") else peer
    await stub.RecordEvent(event(service=service, subject=peer))
    assert len(await events_of(operator, peer)) == 1


@pytest.mark.parametrize("peer", ["edge", "operator"])
async def test_nobody_else_records(served, peer: str):
    async with rpc.refused(StatusCode.PERMISSION_DENIED, "PEER_NOT_ALLOWED"):
        await served.stub(audit_pb2_grpc.AuditStub, peer=peer).RecordEvent(event())


@pytest.mark.parametrize("peer", ["edge", "auth", "privacy"])
async def test_only_the_operator_lists(served, peer: str):
    async with rpc.refused(StatusCode.PERMISSION_DENIED, "PEER_NOT_ALLOWED"):
        await served.stub(audit_pb2_grpc.AuditStub, peer=peer).ListAuditEvents(audit_pb2.ListAuditEventsRequest())


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (event(id="evt_1"), "event.id"),
        (event(id=ids.new("pol")), "event.id"),
        (event(service="billing"), "event.service"),
        (event(action="x" * 61), "event.action"),
    ],
)
async def test_a_wrong_event_names_its_field(auth_stub, request_, field: str):
    async with rpc.refused(StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as found:
        await auth_stub.RecordEvent(request_)
    assert found[0].metadata["field"] == field


@pytest.mark.parametrize("field", ["id", "service", "actor", "action", "subject", "event_time"])
async def test_an_event_tells_who_did_what_to_what_and_when(auth_stub, field: str):
    request = event()
    request.event.ClearField(field)
    async with rpc.refused(StatusCode.INVALID_ARGUMENT, "FIELD_REQUIRED") as found:
        await auth_stub.RecordEvent(request)
    assert found[0].metadata["field"] == f"event.{field}"


async def test_too_much_detail_is_refused(auth_stub):
    request = event()
    request.event.detail["note"] = "x" * 201
    async with rpc.refused(StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
        await auth_stub.RecordEvent(request)


async def test_pages_follow_each_other_to_the_end(auth_stub, operator):
    for number in range(5):
        await auth_stub.RecordEvent(event(seconds=number // 2))
    seen, token = [], ""
    while True:
        request = audit_pb2.ListAuditEventsRequest(subject="acc_1", page_size=2, page_token=token)
        page = await operator.ListAuditEvents(request)
        seen += [found.id for found in page.events if found.action == "FreezeAccount"]
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == len(set(seen)) == 5
    async with rpc.refused(StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
        await operator.ListAuditEvents(audit_pb2.ListAuditEventsRequest(page_token="forged"))


async def test_looking_is_recorded_too(operator):
    assert await events_of(operator, "acc_9") == []
    found = await events_of(operator, "acc_9")
    assert [(seen.actor, seen.action) for seen in found] == [("operator", "ListAuditEvents")]

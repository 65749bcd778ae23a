"""The Policies service over real gRPC."""

import datetime
import hashlib

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from filmgate.privacy.v1 import audit_pb2, audit_pb2_grpc, policies_pb2, policies_pb2_grpc
from services.runtime import ids
from tests.support import rpc
from tests.support.clock import START

TEXTS = {"zh": ("隐私政策", "第二版"), "en": ("Privacy policy", "the second version")}


@pytest.fixture
def stub(served):
    return served.stub(policies_pb2_grpc.PoliciesStub)


@pytest.fixture
def operator(served):
    return served.stub(policies_pb2_grpc.PoliciesStub, peer="operator")


async def first_policy(stub, kind: str = "privacy") -> policies_pb2.Policy:
    listed = await stub.ListPolicies(policies_pb2.ListPoliciesRequest())
    return next(policy for policy in listed.policies if policy.kind == kind)


def acceptance(policy: policies_pb2.Policy, shown: str = "en", **changes) -> policies_pb2.AcceptPolicyRequest:
    """An acceptance of the text in the language that was shown, with other fields on demand."""
    digest = next(text.sha256 for text in policy.texts if text.language == shown)
    fields = {"id": policy.id, "version": policy.version, "sha256": digest, "language": shown}
    return policies_pb2.AcceptPolicyRequest(**{**fields, **changes})


def publication(seconds: float = 3600, version: int = 2, texts=TEXTS, kind: str = "privacy"):
    time = Timestamp()
    time.FromDatetime(START + datetime.timedelta(seconds=seconds))
    request = policies_pb2.PublishPolicyRequest(kind=kind, version=version, effective_time=time)
    for language, (title, text) in texts.items():
        request.texts.add(language=language, title=title, text=text)
    return request


def person(clock, **claims):
    return rpc.as_caller("privacy", clock=clock, **claims)


async def test_the_list_names_each_document_without_its_text(stub):
    answer = await stub.ListPolicies(policies_pb2.ListPoliciesRequest(language="zh-CN"))
    assert {policy.kind for policy in answer.policies} == {"privacy", "terms"}
    assert answer.next_page_token == ""
    for policy in answer.policies:
        assert (policy.version, policy.state) == (1, policies_pb2.Policy.IN_FORCE)
        assert policy.name == f"policies/{policy.id}"
        assert policy.effective_time.ToDatetime(datetime.UTC) == START
        assert [(text.language, text.text) for text in policy.texts] == [("zh", "")]
        assert policy.texts[0].title
        assert len(policy.texts[0].sha256) == 64


async def test_a_policy_shows_its_texts_and_their_digests(stub):
    policy = await stub.GetPolicy(policies_pb2.GetPolicyRequest(id=(await first_policy(stub)).id))
    assert [text.language for text in policy.texts] == ["en", "zh"]
    assert all(hashlib.sha256(text.text.encode()).hexdigest() == text.sha256 for text in policy.texts)
    english = await stub.GetPolicy(policies_pb2.GetPolicyRequest(id=policy.id, language="en"))
    assert [text.language for text in english.texts] == ["en"]


@pytest.mark.parametrize(
    "id", ["pol_00000000000000000000000000", "x", "策" * 300, "'; DROP TABLE policies; --", "../.."]
)
async def test_an_unknown_policy_is_refused(stub, clock, id: str):
    async with rpc.refused(StatusCode.NOT_FOUND, "POLICY_UNKNOWN") as found:
        await stub.GetPolicy(policies_pb2.GetPolicyRequest(id=id))
    assert found[0].metadata["policy"] == id
    async with rpc.refused(StatusCode.NOT_FOUND, "POLICY_UNKNOWN"):
        request = policies_pb2.AcceptPolicyRequest(id=id, version=1, sha256="0" * 64, language="en")
        await stub.AcceptPolicy(request, metadata=person(clock))


async def test_acceptance_is_answered_with_a_receipt(stub, clock):
    policy = await first_policy(stub)
    clock.advance(60)
    receipt = await stub.AcceptPolicy(acceptance(policy, "zh"), metadata=person(clock, session="ses_1"))
    assert ids.is_id("rcp", receipt.id)
    assert receipt.name == f"receipts/{receipt.id}"
    assert (receipt.account, receipt.policy, receipt.kind, receipt.version) == (rpc.ACCOUNT, policy.id, "privacy", 1)
    assert (receipt.language, receipt.sha256) == ("zh", policy.texts[1].sha256)
    assert receipt.accept_time.ToDatetime(datetime.UTC) == START + datetime.timedelta(seconds=60)
    assert receipt.method == "session"


async def test_accepting_again_answers_the_first_receipt(stub, clock):
    policy = await first_policy(stub)
    first = await stub.AcceptPolicy(acceptance(policy), metadata=person(clock))
    clock.advance(5)
    assert await stub.AcceptPolicy(acceptance(policy), metadata=person(clock)) == first
    assert await stub.AcceptPolicy(acceptance(policy, "zh"), metadata=person(clock)) == first
    other = await stub.AcceptPolicy(acceptance(policy), metadata=person(clock, account=ids.new("acc"), key="key_1"))
    assert other.id != first.id
    assert other.method == "key"


@pytest.mark.parametrize("changes", [{"sha256": "0" * 64}, {"version": 2}, {"language": "fr"}, {"language": "zh"}])
async def test_another_text_than_the_published_is_refused(stub, clock, changes):
    policy = await first_policy(stub)
    async with rpc.refused(StatusCode.FAILED_PRECONDITION, "POLICY_TEXT_MISMATCH") as found:
        await stub.AcceptPolicy(acceptance(policy, **changes), metadata=person(clock))
    assert found[0].metadata["policy"] == policy.id


@pytest.mark.parametrize("field", ["id", "version", "sha256", "language"])
async def test_every_field_of_an_acceptance_is_required(stub, clock, field: str):
    request = acceptance(await first_policy(stub))
    request.ClearField(field)
    async with rpc.refused(StatusCode.INVALID_ARGUMENT, "FIELD_REQUIRED") as found:
        await stub.AcceptPolicy(request, metadata=person(clock))
    assert found[0].metadata["field"] == field


async def test_only_a_customer_with_the_scope_accepts(served, stub, clock):
    request = acceptance(await first_policy(stub))
    async with rpc.refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await stub.AcceptPolicy(request, metadata=person(clock, scopes=("video.read", "keys")))
    async with rpc.refused(StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"):
        await stub.AcceptPolicy(request)
    async with rpc.refused(StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"):
        await stub.AcceptPolicy(request, metadata=rpc.as_caller("billing", clock=clock))
    for peer in ("operator", "billing", "worker"):
        foreign = served.stub(policies_pb2_grpc.PoliciesStub, peer=peer)
        async with rpc.refused(StatusCode.PERMISSION_DENIED, "PEER_NOT_ALLOWED"):
            await foreign.AcceptPolicy(request, metadata=person(clock))


async def test_only_the_operator_publishes(served, stub):
    for peer in ("edge", "auth", "privacy", "generation"):
        foreign = served.stub(policies_pb2_grpc.PoliciesStub, peer=peer)
        async with rpc.refused(StatusCode.PERMISSION_DENIED, "PEER_NOT_ALLOWED"):
            await foreign.PublishPolicy(publication())


async def test_a_stranger_without_our_certificate_gets_nothing(served):
    channel = served.channel(authority="stranger")
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await policies_pb2_grpc.PoliciesStub(channel).ListPolicies(policies_pb2.ListPoliciesRequest(), timeout=5)
    assert found.value.code() is StatusCode.UNAVAILABLE


@pytest.mark.promise("CARRY-6.4", "SILICON-P8.4")
@pytest.mark.promise("KLING-P7.8", part="by the API only: there is no site and no account menu")
async def test_a_version_is_announced_then_in_force_at_its_moment_then_superseded(stub, operator, clock):
    listed = await first_policy(stub)
    first = await stub.GetPolicy(policies_pb2.GetPolicyRequest(id=listed.id))
    assert sorted(text.language for text in first.texts) == ["en", "zh"]
    assert all(len(text.text) > 200 for text in first.texts)
    second = await operator.PublishPolicy(publication(seconds=3600))
    assert second.state == policies_pb2.Policy.ANNOUNCED
    ahead = await stub.GetPolicy(policies_pb2.GetPolicyRequest(id=second.id))
    assert {text.language: text.text for text in ahead.texts} == {name: text for name, (_, text) in TEXTS.items()}
    assert await states(stub) == {1: "IN_FORCE", 2: "ANNOUNCED"}
    clock.advance(3599.999999)
    assert await states(stub) == {1: "IN_FORCE", 2: "ANNOUNCED"}
    clock.advance(0.000001)
    assert await states(stub) == {2: "IN_FORCE"}
    for version in (3, 4):
        fourth = await operator.PublishPolicy(publication(seconds=3600 * version, version=version))
    clock.advance(3 * 3600)
    assert await states(stub) == {4: "IN_FORCE"}
    clock.advance(10 * 366 * 86_400)
    assert await states(stub) == {4: "IN_FORCE"}
    newest = await stub.GetPolicy(policies_pb2.GetPolicyRequest(id=fourth.id))
    assert (newest.state, newest.texts) == (policies_pb2.Policy.IN_FORCE, fourth.texts)
    old = await stub.GetPolicy(policies_pb2.GetPolicyRequest(id=first.id))
    assert old.state == policies_pb2.Policy.SUPERSEDED
    assert old.texts == first.texts
    new = await stub.GetPolicy(policies_pb2.GetPolicyRequest(id=second.id))
    assert {text.language: text.text for text in new.texts} == {language: text for language, (_, text) in TEXTS.items()}


async def states(stub) -> dict[int, str]:
    listed = await stub.ListPolicies(policies_pb2.ListPoliciesRequest())
    names = policies_pb2.Policy.State.Name
    return {policy.version: names(policy.state) for policy in listed.policies if policy.kind == "privacy"}


async def test_what_is_announced_may_be_accepted_and_what_is_superseded_not(stub, operator, clock):
    first, second = await first_policy(stub), await operator.PublishPolicy(publication(seconds=10))
    await stub.AcceptPolicy(acceptance(second), metadata=person(clock))
    early = await stub.AcceptPolicy(acceptance(first), metadata=person(clock))
    clock.advance(10)
    assert await stub.AcceptPolicy(acceptance(first), metadata=person(clock)) == early
    async with rpc.refused(StatusCode.FAILED_PRECONDITION, "POLICY_NOT_IN_FORCE") as found:
        await stub.AcceptPolicy(acceptance(first), metadata=person(clock, account=ids.new("acc")))
    assert (found[0].metadata["version"], found[0].metadata["in_force"]) == ("1", "2")


async def test_publishing_the_same_again_answers_the_same(operator):
    first = await operator.PublishPolicy(publication())
    assert await operator.PublishPolicy(publication()) == first
    assert [text.text for text in first.texts] == [TEXTS["en"][1], TEXTS["zh"][1]]


@pytest.mark.parametrize(
    "other",
    [
        publication(texts={**TEXTS, "en": ("Privacy policy", "the second version, mended")}),
        publication(texts={**TEXTS, "en": ("Another title", TEXTS["en"][1])}),
        publication(texts={**TEXTS, "fr": ("Vie privée", "la deuxième version")}),
        publication(seconds=3601),
    ],
)
async def test_a_published_version_never_changes(stub, operator, other):
    first = await operator.PublishPolicy(publication())
    async with rpc.refused(StatusCode.ALREADY_EXISTS, "POLICY_VERSION_EXISTS"):
        await operator.PublishPolicy(other)
    assert await stub.GetPolicy(policies_pb2.GetPolicyRequest(id=first.id)) == first


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (publication(version=3), "version"),
        (publication(seconds=-1), "effective_time"),
        (publication(texts={"en": TEXTS["en"]}), "texts"),
        (publication(kind="cookies"), "kind"),
        (publication(texts={**TEXTS, "EN": TEXTS["en"]}), "texts[2].language"),
        (publication(texts={**TEXTS, "en": ("t", "x" * 200_001)}), "texts[1].text"),
    ],
)
async def test_a_wrong_publication_names_its_field(operator, request_, field: str):
    async with rpc.refused(StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as found:
        await operator.PublishPolicy(request_)
    assert found[0].metadata["field"] == field


async def test_publishing_is_in_the_audit_log(served, operator):
    policy = await operator.PublishPolicy(publication())
    audit = served.stub(audit_pb2_grpc.AuditStub, peer="operator")
    events = (await audit.ListAuditEvents(audit_pb2.ListAuditEventsRequest(subject=policy.id))).events
    assert [(event.service, event.actor, event.action) for event in events] == [
        ("privacy", "operator", "PublishPolicy")
    ]
    assert dict(events[0].detail) == {
        "kind": "privacy", "version": "2", "effective_time": "2026-11-21T13:00:00+00:00", "result": "published",
    }  # fmt: skip
    assert events[0].request_id


async def test_pages_of_a_long_list_follow_each_other(stub, operator):
    for version in range(2, 5):
        await operator.PublishPolicy(publication(version=version))
    seen, token = [], ""
    while True:
        page = await stub.ListPolicies(policies_pb2.ListPoliciesRequest(page_size=2, page_token=token))
        seen += [(policy.kind, policy.version) for policy in page.policies]
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == len(set(seen)) == 5
    async with rpc.refused(StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH"):
        first = await stub.ListPolicies(policies_pb2.ListPoliciesRequest(page_size=1))
        other = policies_pb2.ListPoliciesRequest(page_token=first.next_page_token, language="en")
        await stub.ListPolicies(other)

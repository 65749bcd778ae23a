"""Policies from publication to acceptance: a new version binds nobody who has not accepted it."""

import datetime
from collections.abc import Iterator

import pytest

from deploy.local import ports
from deploy.local.client import Refused, new_phone
from deploy.local.suite import Suite
from filmgate.privacy.v1 import audit_pb2, audit_pb2_grpc, policies_pb2, policies_pb2_grpc
from services.runtime.profile import Profile
from tests.support.operators import door
from tests.support.profiles import used
from tests.support.waiting import until_refused

ORDER = {"model": "animatic", "prompt": "a quiet sea", "resolution": "480p", "duration_seconds": 2}
CALLS = [
    ("GET", "/v1/videos", None),
    ("POST", "/v1/videos", ORDER),
    ("GET", "/v1/wallet", None),
    ("GET", "/v1/models", None),
]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, profile: Profile) -> Iterator[Suite]:
    """A suite of its own, since a new version concerns every customer."""
    settings = {"FILMGATE_PROFILE": used(profile).name}
    running = Suite(tmp_path_factory.mktemp("policies") / ".filmgate", ports=ports.free(), settings=settings)
    running.start()
    yield running
    running.stop()


@pytest.mark.promise("KLING-P7.8")
async def test_without_login_the_policy_in_force_can_be_read_at_any_time(guest):
    listed = (await guest.call("GET", "/v1/policies"))["policies"]
    assert {row["kind"] for row in listed if row["state"] == "IN_FORCE"} == {"privacy", "terms"}
    for row in listed:
        for language in ("zh", "en"):
            shown = await guest.call("GET", f"/v1/policies/{row['id']}?language={language}")
            assert [text["language"] for text in shown["texts"]] == [language]
            assert len(shown["texts"][0]["text"]) > 200


async def test_another_text_or_version_than_the_shown_one_is_not_accepted(guest, books):
    await guest.register(new_phone())
    policy = (await guest.call("GET", "/v1/policies"))["policies"][0]
    shown = await guest.call("GET", f"/v1/policies/{policy['id']}?language=en")
    right = {"version": shown["version"], "sha256": shown["texts"][0]["sha256"], "language": "en"}
    receipts = await books.value("privacy", "SELECT count(*) FROM receipts")
    for change, reason in (
        ({"sha256": "0" * 64}, "POLICY_TEXT_MISMATCH"),
        ({"version": 7}, "POLICY_TEXT_MISMATCH"),
        ({"language": "zh"}, "POLICY_TEXT_MISMATCH"),
        ({"promise": True}, "UNKNOWN_FIELD"),
    ):
        with pytest.raises(Refused) as refused:
            await guest.call("POST", f"/v1/policies/{policy['id']}:accept", {**right, **change})
        assert (refused.value.status, refused.value.reason) == (400, reason), change
    with pytest.raises(Refused) as refused:
        await guest.call("POST", "/v1/policies/pol_x:accept", right)
    assert (refused.value.status, refused.value.reason) == (404, "POLICY_UNKNOWN")
    assert await books.value("privacy", "SELECT count(*) FROM receipts") == receipts


@pytest.mark.promise("CARRY-6.1", "AICC-12.1", "KLING-P9.1", "NEXA-8.1", "SILICON-P8.1")
async def test_a_new_version_waits_for_each_customers_explicit_consent(suite, customer, books):
    account = customer.made["account"]["id"]
    assert await _accepted(books, account) == [1]
    effective = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=3)
    policy = await _publish(suite, effective)
    announced = [row for row in (await customer.call("GET", "/v1/policies"))["policies"] if row["id"] == policy]
    assert [row["state"] for row in announced] == ["ANNOUNCED"]
    await customer.call("GET", "/v1/videos")

    refused = await until_refused(lambda: customer.call("GET", "/v1/videos"), 10)
    assert datetime.datetime.now(datetime.UTC) >= effective
    assert await _accepted(books, account) == [1]  # nobody has consented by going on
    before = await books.owned(customer.made)
    for method, path, body in CALLS:
        with pytest.raises(Refused) as refused_again:
            await customer.call(method, path, body)
        refused = refused_again.value
        assert (refused.status, refused.body["code"], refused.reason) == (400, 9, "POLICY_NOT_ACCEPTED"), path
        told = next(row for row in refused.body["details"] if row["@type"].endswith("ErrorInfo"))["metadata"]
        assert (told["policy"], told["version"]) == (policy, "2")
        assert told["accept_at"] == f"/v1/policies/{policy}:accept"
    assert await books.owned(customer.made) == before

    key, customer.credential = customer.credential, customer.session
    await customer.accept_policies()
    assert await _accepted(books, account) == [1, 2]
    customer.credential = key
    assert (await customer.call("POST", "/v1/videos", ORDER))["state"] == "QUEUED"
    events = await _events(suite, policy)
    assert [(event.actor, event.action) for event in events] == [("operator", "PublishPolicy")]


async def _publish(suite: Suite, effective: datetime.datetime) -> str:
    texts = [
        policies_pb2.PolicyText(language=code, title="Terms", text=f"The second text, {code}.") for code in ("zh", "en")
    ]
    request = policies_pb2.PublishPolicyRequest(kind="terms", version=2, effective_time=effective, texts=texts)
    async with door(suite, "privacy") as channel:
        published = await policies_pb2_grpc.PoliciesStub(channel).PublishPolicy(request, timeout=5)
    assert published.state == policies_pb2.Policy.ANNOUNCED
    return published.id


async def _events(suite: Suite, subject: str) -> list[audit_pb2.AuditEvent]:
    async with door(suite, "privacy") as channel:
        stub = audit_pb2_grpc.AuditStub(channel)
        return list((await stub.ListAuditEvents(audit_pb2.ListAuditEventsRequest(subject=subject), timeout=5)).events)


async def _accepted(books, account: str) -> list[int]:
    query = "SELECT version FROM receipts WHERE account = $1 AND kind = 'terms' ORDER BY version"
    return [row["version"] for row in await books.rows("privacy", query, account)]

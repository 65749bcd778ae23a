"""Promises about policies, through Envoy and every real part: what is read, what is agreed to, what binds nobody."""

import datetime
from collections.abc import Mapping

import pytest

from deploy.local.client import Refused, new_phone
from deploy.local.suite import Suite
from filmgate.privacy.v1 import policies_pb2, policies_pb2_grpc
from tests.support.operators import door, recorded
from tests.support.waiting import until_refused

ORDER = {"model": "animatic", "prompt": "a quiet sea", "resolution": "480p", "duration_seconds": 2}
CALLS = [
    ("GET", "/v1/videos", None),
    ("POST", "/v1/videos", ORDER),
    ("GET", "/v1/wallet", None),
    ("GET", "/v1/models", None),
]


@pytest.mark.promise("KLING-P7.8", part="by the API only: there is no site and no account menu")
async def test_without_login_the_policy_in_force_can_be_read_at_any_time(guest):
    listed = (await guest.call("GET", "/v1/policies"))["policies"]
    assert {row["kind"] for row in listed if row["state"] == "IN_FORCE"} == {"privacy", "terms"}
    for row in listed:
        for language in ("zh", "en"):
            shown = await guest.call("GET", f"/v1/policies/{row['id']}?language={language}")
            assert [text["language"] for text in shown["texts"]] == [language]
            assert len(shown["texts"][0]["text"]) > 200


@pytest.mark.promise("CARRY-0.1", "KLING-A0.2")
async def test_core_calls_wait_for_the_policies(guest, books):
    made = await guest.register(new_phone())
    before = await books.owned(made)
    for method, path, body in (*CALLS, ("POST", "/v1/keys", {})):
        with pytest.raises(Refused) as refused:
            await guest.call(method, path, body)
        found = refused.value
        assert (found.status, found.body["code"], found.reason) == (400, 9, "POLICY_NOT_ACCEPTED")
    where = next(row for row in refused.value.body["details"] if "metadata" in row)["metadata"]
    assert where["accept_at"] == f"/v1/policies/{where['policy']}:accept"
    assert await books.owned(made) == before

    begun = datetime.datetime.now(datetime.UTC)
    receipts = await guest.accept_policies()
    stored = await books.rows("privacy", "SELECT * FROM receipts WHERE account = $1", made["account"]["id"])
    assert {row["kind"]: row["version"] for row in stored} == await _in_force(guest)
    for row, receipt in zip(sorted(stored, key=_id), sorted(receipts, key=_id), strict=True):
        assert (row["id"], row["policy"], row["sha256"]) == (receipt["id"], receipt["policy"], receipt["sha256"])
        assert (row["language"], row["method"]) == ("en", "session")
        assert begun <= row["accept_time"] <= datetime.datetime.now(datetime.UTC)
    await guest.call("GET", "/v1/videos")
    assert (await guest.call("POST", "/v1/videos", ORDER))["state"] == "QUEUED"


async def _in_force(client) -> dict[str, int]:
    listed = (await client.call("GET", "/v1/policies"))["policies"]
    return {row["kind"]: row["version"] for row in listed if row["state"] == "IN_FORCE"}


def _id(row: Mapping) -> str:
    return row["id"]


@pytest.mark.promise("CARRY-6.1", "AICC-12.1", "KLING-P9.1", "NEXA-8.1", "SILICON-P8.1")
async def test_a_new_version_waits_for_each_customers_explicit_consent(suite, customer, books):
    account = customer.made["account"]["id"]
    [first] = await _accepted(books, account)
    effective = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=3)
    policy = await _publish(suite, first + 1, effective)
    announced = [row for row in (await customer.call("GET", "/v1/policies"))["policies"] if row["id"] == policy]
    assert [row["state"] for row in announced] == ["ANNOUNCED"]
    await customer.call("GET", "/v1/videos")

    refused = await until_refused(lambda: customer.call("GET", "/v1/videos"), 10)
    assert datetime.datetime.now(datetime.UTC) >= effective
    assert await _accepted(books, account) == [first]  # nobody has consented by going on
    before = await books.owned(customer.made)
    for method, path, body in CALLS:
        with pytest.raises(Refused) as refused_again:
            await customer.call(method, path, body)
        refused = refused_again.value
        assert (refused.status, refused.body["code"], refused.reason) == (400, 9, "POLICY_NOT_ACCEPTED"), path
        told = next(row for row in refused.body["details"] if row["@type"].endswith("ErrorInfo"))["metadata"]
        assert (told["policy"], told["version"]) == (policy, str(first + 1))
        assert told["accept_at"] == f"/v1/policies/{policy}:accept"
    assert await books.owned(customer.made) == before

    key, customer.credential = customer.credential, customer.session
    await customer.accept_policies()
    assert await _accepted(books, account) == [first, first + 1]
    customer.credential = key
    assert (await customer.call("POST", "/v1/videos", ORDER))["state"] == "QUEUED"
    events = await recorded(suite, policy)
    assert [(event.actor, event.action) for event in events] == [("operator", "PublishPolicy")]


async def _publish(suite: Suite, version: int, effective: datetime.datetime) -> str:
    texts = [
        policies_pb2.PolicyText(language=code, title="Terms", text=f"The second text, {code}.") for code in ("zh", "en")
    ]
    request = policies_pb2.PublishPolicyRequest(kind="terms", version=version, effective_time=effective, texts=texts)
    async with door(suite, "privacy") as channel:
        published = await policies_pb2_grpc.PoliciesStub(channel).PublishPolicy(request, timeout=5)
    assert published.state == policies_pb2.Policy.ANNOUNCED
    return published.id


async def _accepted(books, account: str) -> list[int]:
    query = "SELECT version FROM receipts WHERE account = $1 AND kind = 'terms' ORDER BY version"
    return [row["version"] for row in await books.rows("privacy", query, account)]

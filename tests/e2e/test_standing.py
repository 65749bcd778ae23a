"""Freezes by the operator: what each scope stops, how soon, and the record that stays."""

from functools import partial

import grpc
import pytest

from deploy.local import picture
from deploy.local.client import Refused
from filmgate.auth.v1 import accounts_pb2 as accounts
from filmgate.privacy.v1 import audit_pb2, policies_pb2
from tests.support.operators import door
from tests.support.pace import in_proportion
from tests.support.waiting import until_refused, until_served

ORDER = {"model": "animatic", "prompt": "a quiet sea", "resolution": "480p", "duration_seconds": 2}
EFFECT_SECONDS = 1.0
"""From the answer of FreezeAccount to the refusal at the edge (architecture, section 4)."""
CERTIFICATES = ["edge", "auth", "billing", "generation", "media", "worker", "privacy"]
OPERATOR_METHODS = [
    ("auth", "Accounts/FreezeAccount", accounts.FreezeAccountRequest(account="acc_x", scope="ALL", reason="abuse")),
    ("auth", "Accounts/UnfreezeAccount", accounts.UnfreezeAccountRequest(account="acc_x", scope="ALL")),
    ("privacy", "Policies/PublishPolicy", policies_pb2.PublishPolicyRequest(kind="terms", version=9)),
    ("privacy", "Audit/ListAuditEvents", audit_pb2.ListAuditEventsRequest()),
]


SCOPES = {
    # Calls by key that it stops and that go on, then those by session. The first one, repeated until it is refused
    # for the freeze, stores nothing either way.
    "ALL": (["read", "order", "upload"], [], ["account", "new key"], []),
    "KEYS": (["read", "order", "upload"], [], ["new key"], ["account", "read"]),
    "SPENDING": (["bad order", "order", "upload"], ["read", "estimate"], ["new key"], ["account"]),
}


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_freeze_stops_its_scope_within_a_second_and_stores_nothing(customer, books, freezer, scope):
    by_key, still_by_key, by_session, still_by_session = SCOPES[scope]
    account, key = customer.made["account"]["id"], customer.key["secret"]
    calls = _calls(customer)
    before = await books.owned(customer.made)

    await freezer.freeze(account, scope)
    for credential, stopped, served in ((key, by_key, still_by_key), (customer.session, by_session, still_by_session)):
        customer.credential = credential
        for name in stopped:
            refused = await until_refused(calls[name], in_proportion(EFFECT_SECONDS), "ACCOUNT_FROZEN")
            assert (refused.status, refused.body["code"]) == (403, 7), name
            assert scope in refused.body["message"]
            assert "operator" in refused.body["message"]
        for name in served:
            await calls[name]()
    assert await books.owned(customer.made) == before

    await freezer.lift(account, scope)
    customer.credential = key
    await until_served(calls["read"], in_proportion(EFFECT_SECONDS), "ACCOUNT_FROZEN")
    video = await until_served(calls["order"], in_proportion(EFFECT_SECONDS), "ACCOUNT_FROZEN")
    assert video["state"] == "QUEUED"


def _calls(customer):
    return {
        "read": partial(customer.call, "GET", "/v1/videos"),
        "order": partial(customer.call, "POST", "/v1/videos", ORDER),
        "bad order": partial(customer.call, "POST", "/v1/videos", {**ORDER, "model": "sora"}),
        "estimate": partial(customer.call, "POST", "/v1/videos:estimate", ORDER),
        "upload": partial(customer.upload, picture.lighthouse(640, 360)),
        "account": partial(customer.call, "GET", "/v1/account"),
        "new key": partial(customer.call, "POST", "/v1/keys", {"display_name": "more"}),
    }


async def test_a_frozen_account_cannot_log_in(customer, freezer):
    await freezer.freeze(customer.made["account"]["id"], "ALL")
    await until_refused(partial(customer.call, "GET", "/v1/videos"), in_proportion(EFFECT_SECONDS))
    with pytest.raises(Refused) as refused:
        await customer.log_in(customer.phone)
    assert (refused.value.status, refused.value.reason) == (403, "ACCOUNT_FROZEN")


@pytest.mark.parametrize("certificate", CERTIFICATES)
async def test_the_operators_methods_are_refused_to_every_other_certificate(suite, customer, certificate):
    for service, method, request in OPERATOR_METHODS:
        async with door(suite, service, certificate) as channel:
            call = channel.unary_unary(f"/filmgate.{service}.v1.{method}", type(request).SerializeToString)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(request, timeout=5)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED, method


async def test_without_a_certificate_no_service_even_listens(suite):
    for service, method, request in OPERATOR_METHODS:
        async with door(suite, service, "") as channel:
            call = channel.unary_unary(f"/filmgate.{service}.v1.{method}", type(request).SerializeToString)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(request, timeout=5)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE, method

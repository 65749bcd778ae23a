"""A service that is stopped: every call that needs it answers 503 and what to do, the others go on, nothing is lost."""

import contextlib
from functools import partial

import pytest

from deploy.local import picture
from deploy.local.client import Refused, new_phone
from tests.e2e.conftest import ended
from tests.support.waiting import until_served

ORDER = {"model": "animatic", "prompt": "a quiet sea", "resolution": "480p", "duration_seconds": 2}
AGAIN = ("SERVICE_UNAVAILABLE", "PEER_UNAVAILABLE", "AUTHORIZER_UNAVAILABLE", "REQUEST_IN_PROGRESS")
UNSEEN = ORDER | {"duration_seconds": 6}
"""What nobody has ordered in the last seconds: generation remembers no quote for it."""
BACK_SECONDS = 20


@contextlib.asynccontextmanager
async def _killed(suite, name):
    """While this is open the service does not run; afterwards it is ready again."""
    suite.process(name).kill()
    try:
        yield
    finally:
        suite.launch(name)
        await suite.until_ready(name)


@contextlib.asynccontextmanager
async def _frozen(suite, name):
    """While this is open the service is there, and does nothing."""
    suite.process(name).stop()
    try:
        yield
    finally:
        suite.process(name).cont()


async def _refused(call, reason: str) -> Refused:
    with pytest.raises(Refused) as refused:
        await call
    found = refused.value
    assert (found.status, found.body["code"], found.reason) == (503, 14, reason)
    assert "again" in found.body["message"]
    infos = [row for row in found.body["details"] if row["@type"].endswith("ErrorInfo")]
    assert len(infos) == 1
    assert infos[0]["metadata"]["request_id"]
    return found


async def test_without_billing_nothing_is_ordered_and_everything_else_goes_on(suite, customer, books):
    video = await ended(customer, (await customer.call("POST", "/v1/videos", ORDER))["id"])
    await customer.call("GET", "/v1/wallet")
    before = await books.owned(customer.made)
    order = partial(customer.call, "POST", "/v1/videos", ORDER, idempotency_key="billing")
    async with _killed(suite, "billing"):
        await _refused(order(), "PEER_UNAVAILABLE")
        await _refused(customer.call("POST", "/v1/videos:estimate", ORDER), "PEER_UNAVAILABLE")
        await _refused(customer.call("GET", "/v1/wallet"), "SERVICE_UNAVAILABLE")
        assert (await customer.call("GET", f"/v1/videos/{video['id']}"))["state"] == "SUCCEEDED"
        assert (await customer.call("GET", "/v1/videos"))["videos"][0]["id"] == video["id"]
        assert (await customer.call("GET", "/v1/models"))["models"]
        content = await customer.http.get(f"/v1/videos/{video['id']}/content", headers=_bearer(customer))
        assert len(content.content) == int(video["output"]["size_bytes"])
    assert await books.owned(customer.made) == before
    made = await until_served(order, BACK_SECONDS, *AGAIN)
    settled = await ended(customer, made["id"])
    assert (settled["state"], settled["settlement"]) == ("SUCCEEDED", "CAPTURED")
    assert (await order())["id"] == made["id"]


async def test_billing_that_does_not_answer_is_as_good_as_stopped(suite, customer, books):
    await customer.call("GET", "/v1/wallet")
    before = await books.owned(customer.made)
    order = partial(customer.call, "POST", "/v1/videos", UNSEEN, idempotency_key="frozen")
    async with _frozen(suite, "billing"):
        await _refused(order(), "PEER_UNAVAILABLE")
        assert not (await customer.call("GET", "/v1/videos"))["videos"]
    assert await books.owned(customer.made) == before
    made = await until_served(order, BACK_SECONDS, *AGAIN)
    assert (await ended(customer, made["id"]))["settlement"] == "CAPTURED"


async def test_what_ends_while_billing_is_away_is_charged_when_it_is_back(suite, customer, books):
    video = (await customer.call("POST", "/v1/videos", ORDER))["id"]
    async with _killed(suite, "billing"):
        async for event in customer.watch(video):
            if event["video"]["state"] == "SUCCEEDED":
                assert event["video"]["settlement"] == "PENDING"
                break
    settled = await ended(customer, video)
    assert settled["settlement"] == "CAPTURED"
    assert (
        await books.value("billing", "SELECT count(*) FROM journals WHERE video = $1 AND kind = 'CHARGE'", video) == 1
    )


@pytest.mark.parametrize("how", [_killed, _frozen], ids=["killed", "frozen"])
async def test_without_auth_nobody_is_let_in(suite, customer, guest, books, how):
    before = await books.owned(customer.made)
    async with how(suite, "auth"):
        for method, path, body in (
            ("GET", "/v1/videos", None),
            ("POST", "/v1/videos", ORDER),
            ("GET", "/v1/wallet", None),
            ("POST", "/v1/keys", {"display_name": "x"}),
        ):
            await _refused(customer.call(method, path, body), "AUTHORIZER_UNAVAILABLE")
        await _refused(customer.upload(picture.lighthouse(640, 360)), "AUTHORIZER_UNAVAILABLE")
        await _refused(guest.call("GET", "/v1/prices"), "AUTHORIZER_UNAVAILABLE")
    assert await books.owned(customer.made) == before
    await until_served(partial(customer.call, "GET", "/v1/videos"), BACK_SECONDS, *AGAIN)


async def test_without_generation_the_rest_goes_on(suite, customer, books):
    await customer.call("GET", "/v1/wallet")
    before = await books.owned(customer.made)
    order = partial(customer.call, "POST", "/v1/videos", ORDER, idempotency_key="generation")
    async with _killed(suite, "generation"):
        await _refused(order(), "SERVICE_UNAVAILABLE")
        await _refused(customer.call("GET", "/v1/videos"), "SERVICE_UNAVAILABLE")
        await _refused(customer.upload(picture.lighthouse(640, 360)), "PEER_UNAVAILABLE")
        await customer.call("GET", "/v1/wallet")
        assert (await customer.call("GET", "/v1/policies"))["policies"]
    assert await books.owned(customer.made) == before
    made = await until_served(order, BACK_SECONDS, *AGAIN)
    assert (await ended(customer, made["id"]))["state"] == "SUCCEEDED"


async def test_without_media_nothing_is_uploaded_and_videos_go_on(suite, customer, books):
    before = await books.owned(customer.made)
    async with _killed(suite, "media"):
        await _refused(customer.upload(picture.lighthouse(640, 360)), "SERVICE_UNAVAILABLE")
        assert await books.owned(customer.made) == before
        video = await ended(customer, (await customer.call("POST", "/v1/videos", ORDER))["id"])
        assert video["state"] == "SUCCEEDED"
        content = partial(customer.call, "GET", f"/v1/videos/{video['id']}/content")
        await _refused(content(), "SERVICE_UNAVAILABLE")
    await until_served(content, BACK_SECONDS, *AGAIN)


async def test_without_privacy_who_has_accepted_goes_on(suite, customer, guest):
    await guest.register(new_phone())
    async with _killed(suite, "privacy"):
        await _refused(guest.call("GET", "/v1/policies"), "SERVICE_UNAVAILABLE")
        with pytest.raises(Refused) as refused:
            await guest.call("GET", "/v1/videos")
        assert refused.value.reason == "POLICY_NOT_ACCEPTED"
        assert (await customer.call("POST", "/v1/videos", ORDER))["state"] == "QUEUED"
    await until_served(partial(guest.call, "GET", "/v1/policies"), BACK_SECONDS, *AGAIN)
    await guest.accept_policies()
    await guest.call("GET", "/v1/videos")


async def test_without_the_worker_orders_are_queued_and_made_when_it_is_back(suite, customer):
    async with _killed(suite, "worker"):
        video = await customer.call("POST", "/v1/videos", ORDER)
        assert (await customer.call("GET", f"/v1/videos/{video['id']}"))["state"] == "QUEUED"
    assert (await ended(customer, video["id"]))["state"] == "SUCCEEDED"


def _bearer(client) -> dict[str, str]:
    return {"authorization": f"Bearer {client.credential}"}

"""Another organization's things do not exist, and a key does what its scopes say."""

import pytest

from deploy.envoy import contracts, routes
from deploy.local import picture
from deploy.local.client import Refused
from tests.e2e.conftest import ended
from tests.support.edge import DESCRIPTORS

ORDER = {"model": "animatic", "prompt": "mine", "resolution": "480p", "duration_seconds": 2}
CORE = [row for row in (*contracts.methods(DESCRIPTORS), *routes.plain_methods()) if row.gate == "CORE"]


@pytest.fixture
async def mine(customer):
    uploaded = await customer.upload(picture.lighthouse(640, 360))
    video = await customer.call("POST", "/v1/videos", {**ORDER, "image": uploaded["id"]})
    video = await ended(customer, video["id"])
    return {"video": video["id"], "file": uploaded["id"], "output": video["output"]["file"], "key": customer.key["id"]}


async def test_a_stranger_finds_nothing_of_mine(mine, newcomer):
    stranger = await newcomer()
    calls = [
        ("GET", f"/v1/videos/{mine['video']}"),
        ("GET", f"/v1/videos/{mine['video']}:watch"),
        ("GET", f"/v1/videos/{mine['video']}/content"),
        ("POST", f"/v1/videos/{mine['video']}:cancel"),
        ("DELETE", f"/v1/videos/{mine['video']}"),
        ("GET", f"/v1/files/{mine['file']}"),
        ("GET", f"/v1/files/{mine['file']}/content"),
        ("GET", f"/v1/files/{mine['output']}/content"),
        ("DELETE", f"/v1/files/{mine['file']}"),
    ]
    for method, path in calls:
        with pytest.raises(Refused) as refused:
            await stranger.call(method, path, {} if method == "POST" else None)
        assert (refused.value.status, refused.value.body["code"]) == (404, 5), path
        assert refused.value.reason in {"NOT_FOUND", "FILE_UNKNOWN"}, path
    with pytest.raises(Refused) as refused:
        await stranger.call("POST", "/v1/videos", {**ORDER, "image": mine["file"]})
    assert refused.value.reason == "FILE_UNKNOWN"
    assert not (await stranger.call("GET", "/v1/videos")).get("videos")
    assert not (await stranger.call("GET", "/v1/files")).get("files")


async def test_a_strangers_key_cannot_be_seen_or_revoked(mine, newcomer):
    stranger = await newcomer()
    stranger.credential = stranger.session
    for method, path in (("GET", f"/v1/keys/{mine['key']}"), ("POST", f"/v1/keys/{mine['key']}:revoke")):
        with pytest.raises(Refused) as refused:
            await stranger.call(method, path, {} if method == "POST" else None)
        assert (refused.value.status, refused.value.reason) == (404, "NOT_FOUND")


async def test_a_key_does_only_what_its_scopes_say(customer):
    customer.credential = customer.session
    await customer.make_key("reader", scopes=["video.read"])
    await customer.call("GET", "/v1/videos")
    for method, path, body in (
        ("POST", "/v1/videos", ORDER),
        ("GET", "/v1/wallet", None),
        ("POST", "/v1/keys", {"display_name": "more"}),
        ("GET", "/v1/account", None),
    ):
        with pytest.raises(Refused) as refused:
            await customer.call(method, path, body)
        assert (refused.value.status, refused.value.body["code"], refused.value.reason) == (403, 7, "SCOPE_MISSING"), (
            path
        )
    with pytest.raises(Refused) as refused:
        await customer.upload(picture.lighthouse(640, 360))
    assert refused.value.reason == "SCOPE_MISSING"

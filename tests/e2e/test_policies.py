"""Policies through Envoy: what is accepted is the text and version that was shown."""

import pytest

from deploy.local.client import Refused, new_phone


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

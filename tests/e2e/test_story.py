"""A customer's way from registration to the MP4, through Envoy and every real part."""

import pytest

from deploy.local import picture
from tests.e2e.conftest import ended

ORDER = {
    "model": "animatic",
    "prompt": "a lighthouse at dusk, slow zoom in",
    "resolution": "480p",
    "duration_seconds": 3,
}
DRAWN = picture.lighthouse(640, 360)


async def test_the_same_order_twice_is_one_video_and_one_charge(customer, books):
    first = await customer.call("POST", "/v1/videos", ORDER, idempotency_key="twice")
    second = await customer.call("POST", "/v1/videos", ORDER, idempotency_key="twice")
    assert first["id"] == second["id"]
    await ended(customer, first["id"])
    third = await customer.call("POST", "/v1/videos", ORDER, idempotency_key="twice")
    assert third["id"] == first["id"]
    assert await books.value("billing", "SELECT count(*) FROM holds WHERE video = $1", first["id"]) == 1
    charges = (await customer.call("GET", "/v1/wallet/transactions"))["transactions"]
    assert [row["kind"] for row in charges].count("CHARGE") == 1


async def test_the_resolved_parameters_make_the_same_video_again(customer):
    first = await ended(customer, (await customer.call("POST", "/v1/videos", ORDER))["id"])
    same = {**ORDER, "seed": first["parameters"]["seed"]}
    again = await ended(customer, (await customer.call("POST", "/v1/videos", same))["id"])
    drop = {"seed"}
    assert {k: v for k, v in first["parameters"].items() if k not in drop} == {
        k: v for k, v in again["parameters"].items() if k not in drop
    }
    assert first["output"]["width"] == again["output"]["width"]


async def test_progress_never_falls_and_ends_at_a_hundred(customer):
    video = await customer.call("POST", "/v1/videos", {**ORDER, "duration_seconds": 5, "resolution": "720p"})
    seen, sequences = [], []
    async for event in customer.watch(video["id"]):
        if event.get("video"):
            seen.append(event["video"]["progress_percent"])
            sequences.append(int(event["sequence"]))
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert sequences == sorted(set(sequences))


async def test_a_watch_resumes_after_the_last_sequence(customer):
    video = await customer.call("POST", "/v1/videos", ORDER)
    events = [event async for event in customer.watch(video["id"])]
    last = int(events[-1]["sequence"])
    resumed = [event async for event in customer.watch(video["id"], after_sequence=last - 1)]
    assert [int(event["sequence"]) for event in resumed] == [last]
    assert resumed[-1]["final"]


async def test_cancelling_says_what_is_charged(customer):
    video = await customer.call("POST", "/v1/videos", {**ORDER, "duration_seconds": 10, "resolution": "1080p"})
    cancelled = await customer.call("POST", f"/v1/videos/{video['id']}:cancel", {})
    assert cancelled["state"] == "CANCELLED"
    settled = await ended(customer, video["id"])
    assert settled["price"] == cancelled["price"]
    assert settled["settlement"] in {"CAPTURED", "RELEASED"}


async def test_deleting_removes_text_and_film(customer, books):
    video = await ended(customer, (await customer.call("POST", "/v1/videos", ORDER))["id"])
    await customer.call("DELETE", f"/v1/videos/{video['id']}")
    for path in (
        f"/v1/videos/{video['id']}",
        f"/v1/videos/{video['id']}/content",
        f"/v1/files/{video['output']['file']}",
    ):
        with pytest.raises(Exception, match="404"):
            await customer.call("GET", path)
    stored = await books.rows("generation", "SELECT * FROM videos WHERE id = $1", video["id"])
    assert ORDER["prompt"] not in str(stored)

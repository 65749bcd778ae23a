"""A customer's way from registration to the MP4, through Envoy and every real part."""

import hashlib
import io
import json

import av
import numpy as np
import pytest
from PIL import Image

from deploy.local import picture
from services.generation.labels import readback
from services.generation.worker.film import visible_label
from services.runtime import profile
from tests.e2e.conftest import ended

ORDER = {
    "model": "animatic",
    "prompt": "a lighthouse at dusk, slow zoom in",
    "resolution": "480p",
    "duration_seconds": 3,
}
DRAWN = picture.lighthouse(640, 360)


@pytest.mark.promise("CARRY-1.3", "AICC-1.3b", "NEXA-1.1.3b", "KLING-A3.10", "SILICON-U4.3b")
async def test_a_picture_becomes_a_labelled_film_that_is_charged_once(customer, books, tmp_path):
    wallet = await customer.call("GET", "/v1/wallet")
    uploaded = await customer.upload(DRAWN)
    order = {**ORDER, "image": uploaded["id"]}
    estimate = await customer.call("POST", "/v1/videos:estimate", order)
    video = await customer.call("POST", "/v1/videos", order, idempotency_key="story")
    assert video["state"] in {"QUEUED", "RUNNING"}
    assert video["quote"] == estimate["price"]

    video = await ended(customer, video["id"])
    assert (video["state"], video["settlement"], video["progress_percent"]) == ("SUCCEEDED", "CAPTURED", 100)
    assert video["price"] == estimate["price"]

    film = tmp_path / "film.mp4"
    await customer.download(f"/v1/videos/{video['id']}/content", film)
    output = video["output"]
    assert hashlib.sha256(film.read_bytes()).hexdigest() == output["sha256"]
    assert film.stat().st_size == int(output["size_bytes"])
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", output["width"], output["height"])
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(stream)]
    assert len(frames) == 3 * 24
    assert _likeness(frames[0], DRAWN) > 0.95

    rules = profile.load("default")
    report = readback.read(film, visible_label(rules.labels, rules.place.locale, 3))
    assert report.visible
    assert report.visible_seconds >= 2.5
    assert report.visible_ink_percent >= 5
    assert report.aigc["Label"] == "1"
    assert json.loads(output["labels"]["aigc"]) == report.aigc

    after = await customer.call("GET", "/v1/wallet")
    spent = _micros(wallet["available"]) - _micros(after["available"])
    assert spent == _micros(video["price"]) > 0
    assert _micros(after["held"]) == 0
    charges = (await customer.call("GET", "/v1/wallet/transactions"))["transactions"]
    assert [row["video"] for row in charges if row["kind"] == "CHARGE"] == [video["id"]]


@pytest.mark.promise("AICC-1.3", "NEXA-1.1.3", "KLING-P1.2a")
async def test_text_alone_becomes_a_title_card(customer):
    video = await customer.call(
        "POST", "/v1/videos", {**ORDER, "prompt": "灯塔 The Lighthouse", "aspect_ratio": "9:16"}
    )
    video = await ended(customer, video["id"])
    assert video["state"] == "SUCCEEDED"
    assert video["output"]["height"] > video["output"]["width"]


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


def _likeness(frame: np.ndarray, drawn: bytes) -> float:
    """How alike a frame and a picture are, less the lowest tenth, where the label stands: 1 is the same."""
    height, width = frame.shape
    with Image.open(io.BytesIO(drawn)) as opened:
        wanted = np.asarray(opened.convert("L").resize((width, height)), float)
    rows = height * 9 // 10
    return float(np.corrcoef(frame[:rows].ravel(), wanted[:rows].ravel())[0, 1])


@pytest.mark.promise("SILICON-U6.2", "KLING-A2.2")
async def test_what_is_charged_is_the_published_price_and_names_its_version(customer, guest, books):
    published = await guest.call("GET", "/v1/prices")
    book = published["price_books"][0]
    rates = {(row["model"], row["resolution"]): _micros(row["per_second"]) for row in book["rates"]}
    percent = {row["outcome"]: row["percent"] for row in published["outcomes"]}
    video = await ended(customer, (await customer.call("POST", "/v1/videos", ORDER))["id"])
    listed = rates["animatic", "480p"] * 3 * percent["SUCCEEDED"] // 100
    assert _micros(video["price"]) == listed > 0
    charges = (await customer.call("GET", "/v1/wallet/transactions"))["transactions"]
    assert [-_micros(row["amount"]) for row in charges if row["video"] == video["id"]] == [listed]
    referred = await books.value("billing", "SELECT price_version FROM holds WHERE video = $1", video["id"])
    assert referred == book["version"]


def _micros(amount: dict) -> int:
    return int(amount.get("units") or 0) * 1_000_000 + int(amount.get("nanos") or 0) // 1000

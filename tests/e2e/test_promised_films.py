"""Promises about films, through Envoy and every real part, each under the profile of its document."""

import hashlib
import io
import json
from functools import partial

import av
import numpy as np
import pytest
from PIL import Image

from deploy.local import picture
from deploy.local.client import Refused
from services.generation.film.label import Label
from services.generation.labels import readback
from tests.e2e.conftest import ended
from tests.support.money import micros
from tests.support.waiting import until_served

ORDER = {
    "model": "animatic",
    "prompt": "a lighthouse at dusk, slow zoom in",
    "resolution": "480p",
    "duration_seconds": 3,
}
DRAWN = picture.lighthouse(640, 360)
SEEN = Label("AI生成", 3, 5)
"""GB 45438-2025, 5.3 and 5.4: words that name AI and generation, at least 5 percent of the shorter side high."""
INK = 190
"""The words of a title card are lighter than this (8 bits of luma), its ground is darker."""


@pytest.mark.promise("CARRY-1.3", "AICC-1.3b", "NEXA-1.1.3b", "KLING-A3.10", "SILICON-U4.3b")
async def test_a_picture_becomes_a_labeled_film_that_is_charged_once(customer, tmp_path):
    wallet = await customer.call("GET", "/v1/wallet")
    uploaded = await customer.upload(DRAWN)
    order = {**ORDER, "image": uploaded["id"]}
    estimate = await customer.call("POST", "/v1/videos:estimate", order)
    wordless = {name: value for name, value in order.items() if name != "prompt"}
    assert await customer.call("POST", "/v1/videos:estimate", wordless), "the text is optional"
    video = await customer.call("POST", "/v1/videos", order, idempotency_key="story")
    assert video["state"] in {"QUEUED", "RUNNING"}
    assert video["quote"] == estimate["price"]

    video = await ended(customer, video["id"])
    assert (video["state"], video["settlement"], video["progress_percent"]) == ("SUCCEEDED", "CAPTURED", 100)
    assert video["price"] == estimate["price"]

    film, frames = await _fetched(customer, video, tmp_path)
    assert len(frames) == 3 * 24
    assert _likeness(frames[0], DRAWN) > 0.95
    assert min(_likeness(frame, DRAWN) for frame in frames) > 0.8, "the picture is seen to the end"

    report = readback.read(film, SEEN)
    assert report.visible, "the film does not show the words"
    assert report.visible_seconds >= 2.5
    assert report.visible_ink_percent >= 5
    assert report.aigc["Label"] == "1"
    assert json.loads(video["output"]["labels"]["aigc"]) == report.aigc

    after = await customer.call("GET", "/v1/wallet")
    spent = micros(wallet["available"]) - micros(after["available"])
    assert spent == micros(video["price"]) > 0
    assert micros(after["held"]) == 0
    charges = (await customer.call("GET", "/v1/wallet/transactions"))["transactions"]
    assert [row["video"] for row in charges if row["kind"] == "CHARGE"] == [video["id"]]


@pytest.mark.promise(
    "AICC-1.3",
    "NEXA-1.1.3",
    "KLING-P1.2a",
    part="the model that is shipped sets the text as a title card; no generative one has run on real weights",
)
async def test_a_text_becomes_a_film_that_shows_it(customer, tmp_path):
    for prompt, strokes in (("I I I", 3), ("川川", 6)):
        order = {**ORDER, "prompt": prompt, "aspect_ratio": "9:16", "seed": 7}
        video = await ended(customer, (await customer.call("POST", "/v1/videos", order))["id"])
        assert video["state"] == "SUCCEEDED"
        assert video["output"]["height"] > video["output"]["width"]
        _, frames = await _fetched(customer, video, tmp_path)
        assert _strokes(frames[-1]) == strokes, "so many letters stand in the prompt"


async def _fetched(customer, video: dict, folder) -> tuple:
    """Download a film; returns its path and its frames as luma, after a look at its digest, size, and codec."""
    film, output = folder / f"{video['id']}.mp4", video["output"]
    await customer.download(f"/v1/videos/{video['id']}/content", film)
    assert hashlib.sha256(film.read_bytes()).hexdigest() == output["sha256"]
    assert film.stat().st_size == int(output["size_bytes"])
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", output["width"], output["height"])
        return film, [frame.to_ndarray(format="gray") for frame in container.decode(stream)]


def _likeness(frame: np.ndarray, drawn: bytes) -> float:
    """How alike a frame and a picture are, less the lowest tenth, where the label stands: 1 is the same."""
    height, width = frame.shape
    with Image.open(io.BytesIO(drawn)) as opened:
        wanted = np.asarray(opened.convert("L").resize((width, height)), float)
    rows = height * 9 // 10
    return float(np.corrcoef(frame[:rows].ravel(), wanted[:rows].ravel())[0, 1])


def _strokes(frame: np.ndarray) -> int:
    """Count the upright strokes in the middle of a frame: runs of columns with light ink in them."""
    height = frame.shape[0]
    inked = (frame[height // 4 : height * 3 // 4] > INK).any(axis=0)
    return int(np.count_nonzero(np.diff(inked.astype(int)) == 1) + inked[0])


@pytest.mark.promise("KLING-A2.2")
@pytest.mark.promise("SILICON-U6.2", part="payment terms are published nowhere, and only the hold names the price list")
async def test_what_is_charged_is_the_published_price_and_names_its_version(customer, guest, books):
    published = await guest.call("GET", "/v1/prices")
    book = published["price_books"][0]
    rates = {(row["model"], row["resolution"]): micros(row["per_second"]) for row in book["rates"]}
    for resolution, seconds in (("480p", 3), ("720p", 8), ("1080p", 10)):
        order = {**ORDER, "resolution": resolution, "duration_seconds": seconds}
        quoted = await customer.call("POST", "/v1/videos:estimate", order)
        assert micros(quoted["price"]) == rates["animatic", resolution] * seconds
    video = await ended(customer, (await customer.call("POST", "/v1/videos", ORDER))["id"])
    listed = rates["animatic", "480p"] * 3
    assert [row["percent"] for row in published["outcomes"] if row["outcome"] == "SUCCEEDED"] == [100]
    assert micros(video["price"]) == listed > 0
    charges = (await customer.call("GET", "/v1/wallet/transactions"))["transactions"]
    assert [-micros(row["amount"]) for row in charges if row["video"] == video["id"]] == [listed]
    referred = await books.value("billing", "SELECT price_version FROM holds WHERE video = $1", video["id"])
    assert referred == book["version"]


@pytest.fixture
def idle(suite):
    """A worker that takes nothing until the test is over, or has woken it."""
    worker = suite.process("worker")
    worker.stop()
    yield worker
    worker.cont()


@pytest.mark.promise(
    "SILICON-U1.3b", part="limits are the profile's, for all alike: none is set for one account, and none is announced"
)
async def test_a_fourth_open_video_waits_for_a_slot(customer, books, idle):
    first = [(await customer.call("POST", "/v1/videos", ORDER))["id"] for _ in range(3)]
    before = await books.owned(customer.made)
    again = partial(customer.call, "POST", "/v1/videos", ORDER, idempotency_key="fourth")
    with pytest.raises(Refused) as caught:
        await again()
    refused = caught.value
    assert (refused.status, refused.body["code"], refused.reason) == (429, 8, "TOO_MANY_OPEN_VIDEOS")
    details = {row["@type"].rpartition(".")[2]: row for row in refused.body["details"]}
    assert details["ErrorInfo"]["metadata"]["limit"] == "3"
    assert details["RetryInfo"]["retry_delay"]
    assert "Wait until one" in refused.body["message"]
    assert await books.owned(customer.made) == before

    idle.cont()
    await ended(customer, first[0])
    assert (await until_served(again, 60, "TOO_MANY_OPEN_VIDEOS"))["state"] == "QUEUED"

"""A customer orders from the pipeline models through Envoy and every real part."""

import hashlib

import pytest

from deploy.local import picture
from deploy.local.client import Refused
from services.generation.labels import readback
from services.generation.worker.film import visible_label
from services.runtime import profile
from tests.e2e.conftest import ended

WAN = {"model": "wan", "prompt": "a lighthouse at dusk", "resolution": "480p", "duration_seconds": 1}


async def test_a_text_becomes_a_labeled_film_that_is_charged_once(customer, books, tmp_path):
    models = {model["id"]: model for model in (await customer.call("GET", "/v1/models"))["models"]}
    assert set(models) == {"animatic", "wan", "wan-image", "wan-5b"}
    assert (models["wan"]["kind"], models["wan"]["capacity"]) == ("GENERATIVE", "READY")
    assert (models["wan"]["limits"]["frame_rate"], models["wan"].get("image_to_video", False)) == (16, False)

    wallet = await customer.call("GET", "/v1/wallet")
    video = await customer.call("POST", "/v1/videos", {**WAN, "negative_prompt": "rain", "seed": 7})
    stages = set()
    async for event in customer.watch(video["id"]):
        stages.add(event.get("video", {}).get("stage"))
        if event.get("final"):
            video = event["video"]
            break
    assert (video["state"], video["settlement"], video["progress_percent"]) == ("SUCCEEDED", "CAPTURED", 100)
    assert "GENERATING" in stages

    film = tmp_path / "film.mp4"
    await customer.download(f"/v1/videos/{video['id']}/content", film)
    assert hashlib.sha256(film.read_bytes()).hexdigest() == video["output"]["sha256"]
    rules = profile.load("default")
    report = readback.read(film, visible_label(rules.labels, rules.place.locale, 1))
    assert (report.width, report.height, report.frame_rate, report.duration_seconds) == (832, 480, 16, 1.0)
    assert report.visible
    assert report.aigc["Label"] == "1"

    after = await customer.call("GET", "/v1/wallet")
    charges = (await customer.call("GET", "/v1/wallet/transactions"))["transactions"]
    assert [row["video"] for row in charges if row["kind"] == "CHARGE"] == [video["id"]]
    assert _micros(wallet["available"]) - _micros(after["available"]) == _micros(video["price"]) == 600_000
    assert await books.value("generation", "SELECT kind FROM jobs WHERE key = $1", f"generate:{video['id']}") == (
        "generate.wan"
    )


async def test_a_picture_becomes_a_film(customer):
    uploaded = await customer.upload(picture.lighthouse(640, 360))
    order = {**WAN, "model": "wan-image", "image": uploaded["id"]}
    video = await ended(customer, (await customer.call("POST", "/v1/videos", order))["id"], 300)
    assert video["state"] == "SUCCEEDED"
    assert (video["output"]["width"], video["output"]["height"]) == (832, 480)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"resolution": "1080p"}, "resolution"),
        ({"duration_seconds": 6}, "duration_seconds"),
        ({"camera_control": {"zoom": 4}}, "camera_control"),
        ({"prompt": "x" * 501}, "prompt"),
        ({"model": "wan-image"}, "image"),
    ],
)
async def test_what_the_model_cannot_do_is_refused_before_anything_is_held(customer, changes, field):
    with pytest.raises(Refused) as refused:
        await customer.call("POST", "/v1/videos", {**WAN, **changes})
    assert refused.value.status == 400
    assert field in str(refused.value)


def test_the_supervisor_knows_what_is_offered(suite):
    assert suite.models() == dict.fromkeys(["animatic", "wan", "wan-image", "wan-5b"], "")


def _micros(amount: dict) -> int:
    return int(amount.get("units") or 0) * 1_000_000 + int(amount.get("nanos") or 0) // 1000

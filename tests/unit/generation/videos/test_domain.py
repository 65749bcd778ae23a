"""The rules of an order, table by table."""

import dataclasses
import datetime

import pytest
from google.protobuf import json_format

from filmgate.generation.v1 import videos_pb2
from services.billing.wallets.domain import share
from services.generation.models.catalog import models
from services.generation.videos import domain
from services.generation.videos.domain import Image
from services.runtime.errors import Failure

MODEL = models()["animatic"]
NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


def order(**fields):
    return json_format.ParseDict({"model": "animatic", "prompt": "sea", **fields}, videos_pb2.CreateVideoRequest())


def resolve(image=None, **fields):
    return domain.resolve(order(**fields), MODEL, image, lambda: 7)


@pytest.mark.parametrize(
    ("resolution", "ratio", "measures"),
    [
        ("480p", "16:9", (854, 480)),
        ("480p", "9:16", (480, 854)),
        ("480p", "1:1", (480, 480)),
        ("720p", "16:9", (1280, 720)),
        ("720p", "9:16", (720, 1280)),
        ("1080p", "16:9", (1920, 1080)),
        ("1080p", "1:1", (1080, 1080)),
    ],
)
def test_measures_are_even_and_the_short_side_is_the_resolution(resolution, ratio, measures):
    assert domain.measures(resolution, ratio) == measures
    assert all(side % 2 == 0 for side in measures)


@pytest.mark.parametrize(
    ("model", "resolution", "ratio", "size"),
    [
        ("wan", "480p", "16:9", (832, 480)),
        ("wan-image", "720p", "9:16", (720, 1280)),
        ("wan-5b", "720p", "16:9", (1280, 704)),
    ],
)
def test_a_model_may_have_sizes_of_its_own(model, resolution, ratio, size):
    wanted = order(model=model, resolution=resolution, aspect_ratio=ratio)
    found = domain.resolve(wanted, models()[model], Image("fil_1", 640, 480) if model != "wan" else None, lambda: 7)
    assert (found.width, found.height) == size


def test_a_negative_prompt_is_no_longer_than_a_prompt():
    with pytest.raises(Failure) as refused:
        domain.resolve(order(model="wan", negative_prompt="x" * 501), models()["wan"], None, lambda: 7)
    assert refused.value.metadata["field"] == "negative_prompt"


@pytest.mark.parametrize(
    ("width", "height", "ratio"),
    [
        (1920, 1080, "16:9"),
        (1080, 1920, "9:16"),
        (500, 500, "1:1"),
        (640, 480, "1:1"),
        (700, 480, "16:9"),
        (1400, 400, "16:9"),
    ],
)
def test_without_a_ratio_the_video_follows_the_picture(width, height, ratio):
    assert resolve(Image("fil_1", width, height)).aspect_ratio == ratio


def test_a_ratio_that_is_asked_for_wins_over_the_picture():
    assert resolve(Image("fil_1", 500, 500), aspect_ratio="16:9").aspect_ratio == "16:9"


def test_leaving_a_field_out_is_writing_its_default():
    written = {"duration_seconds": 5, "resolution": "720p", "aspect_ratio": "16:9", "seed": "7", "negative_prompt": ""}
    assert resolve() == resolve(**written)


def test_a_seed_of_zero_is_a_seed():
    assert resolve(seed="0").seed == 0


def test_a_still_camera_is_not_the_same_as_none():
    assert resolve(camera_control={}).camera == {"horizontal": 0, "vertical": 0, "zoom": 0}
    assert resolve().camera is None


@pytest.mark.parametrize("length", MODEL.duration_seconds)
@pytest.mark.parametrize("resolution", MODEL.resolutions)
def test_every_declared_combination_resolves(length, resolution):
    chosen = resolve(duration_seconds=length, resolution=resolution)
    assert chosen.cost == pytest.approx(MODEL.seconds[resolution] * length)


@pytest.mark.parametrize(
    ("size", "reason"),
    [((299, 400), "IMAGE_TOO_SMALL"), ((400, 1601), "IMAGE_RATIO"), ((10_000, 5_001), "IMAGE_TOO_LARGE")],
)
def test_a_picture_outside_of_the_models_limits_is_refused(size, reason):
    with pytest.raises(Failure) as refused:
        resolve(Image("fil_1", *size))
    assert refused.value.kind.reason == reason


@pytest.mark.parametrize("size", [(300, 300), (400, 1600), (10_000, 5_000)])
def test_a_picture_at_the_limits_is_taken(size):
    assert resolve(Image("fil_1", *size)).image == "fil_1"


@pytest.mark.parametrize(
    ("changes", "fields", "reason"),
    [
        ({"text_to_video": False}, {}, "FIELD_REQUIRED"),
        ({"camera_control": False}, {"camera_control": {"zoom": 1}}, "PARAMETER_UNSUPPORTED"),
        ({"prompt_characters": 2}, {}, "FIELD_INVALID"),
    ],
)
def test_a_model_is_asked_for_nothing_that_it_cannot(changes, fields, reason):
    with pytest.raises(Failure) as refused:
        domain.resolve(order(**fields), dataclasses.replace(MODEL, **changes), None, lambda: 7)
    assert refused.value.kind.reason == reason


def test_a_model_of_text_alone_takes_no_picture():
    with pytest.raises(Failure) as refused:
        domain.resolve(order(), dataclasses.replace(MODEL, image_to_video=False), Image("fil_1", 640, 360), lambda: 7)
    assert refused.value.metadata["field"] == "image"


def test_the_start_deadline_is_one_hour_unless_asked_and_at_most_a_day():
    day = datetime.timedelta(hours=24)
    assert domain.start_deadline(None, NOW) == NOW + datetime.timedelta(hours=1)
    assert domain.start_deadline(NOW + day, NOW) == NOW + day
    for wrong in (NOW, NOW - day, NOW + day + datetime.timedelta(seconds=1)):
        with pytest.raises(Failure):
            domain.start_deadline(wrong, NOW)


@pytest.mark.parametrize(
    ("place", "seconds"),
    [
        ((0, 0.0, 0, 0.0, 1), 0),
        ((0, 0.0, 1, 4.0, 1), 4),
        ((0, 0.0, 1, 4.0, 2), 0),
        ((1, 6.0, 1, 4.0, 2), 5),
        ((2, 6.0, 2, 4.0, 2), 5),
        ((0, 0.0, 0, 0.0, 0), 0),
        ((1, 6.0, 0, 0.0, 0), 6),
    ],
)
def test_a_place_counts_what_is_before_it_over_all_instances(place, seconds):
    assert domain.place(*place).seconds == seconds


@pytest.mark.parametrize(
    ("quote", "percent", "charge"), [(100, 0, 0), (100, 100, 100), (3, 50, 2), (1, 49, 0), (101, 50, 51)]
)
def test_an_outcome_costs_what_billing_will_charge(quote, percent, charge):
    assert domain.charge(quote, percent) == charge == share(quote, percent)


def test_states_are_numbered_as_in_the_contract():
    assert {number: videos_pb2.Video.State.Name(number) for number in range(1, 6)} == domain.STATE_NAMES
    assert set(domain.STAGES) | {"STAGE_UNSPECIFIED"} == set(videos_pb2.Video.Stage.keys())

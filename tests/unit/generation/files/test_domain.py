"""Where objects lie and how long."""

import datetime

import pytest

from services.generation.files import domain

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


def test_keys_are_made_of_ids_alone():
    assert domain.input_object("org_1", "fil_1") == "inputs/org_1/fil_1"
    assert domain.output_object("org_1", "vid_1", "fil_1") == "outputs/org_1/vid_1/fil_1.mp4"


def test_a_picture_has_two_objects_and_a_video_one():
    assert domain.objects_of("IMAGE", "inputs/a/b") == ["inputs/a/b", "inputs/a/b.frame.jpg"]
    assert domain.objects_of("VIDEO", "outputs/a/b/c.mp4") == ["outputs/a/b/c.mp4"]


@pytest.mark.parametrize(("days", "kept"), [(0, 1), (1, 1), (30, 30)])
def test_a_picture_is_kept_the_profiles_days_but_long_enough_to_be_used(days, kept):
    assert domain.input_expiry(NOW, days) == NOW + datetime.timedelta(days=kept)


@pytest.mark.parametrize(
    ("content_type", "name"), [("image/jpeg", "fil_1.jpg"), ("video/mp4", "fil_1.mp4"), ("text/html", "fil_1.bin")]
)
def test_a_download_is_named_by_its_id(content_type, name):
    assert domain.file_name("fil_1", content_type) == name

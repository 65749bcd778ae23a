"""Profiles: whole, strict about their fields, and the default the strictest of all."""

from pathlib import Path

import pytest
import yaml

from services.runtime import profile

NAMES = ("default", "carry", "aicc", "kling", "nexa", "silicon")


@pytest.mark.parametrize("name", NAMES)
def test_each_profile_is_whole(name: str) -> None:
    made = profile.load(name)
    assert made.name == name
    assert len(made.version) == 12


def test_versions_differ_and_stay() -> None:
    versions = {name: profile.load(name).version for name in NAMES}
    assert len(set(versions.values())) == len(NAMES)
    assert versions == {name: profile.load(name).version for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_default_is_the_strictest(name: str) -> None:
    default, other = profile.load("default"), profile.load(name)
    assert default.age.minimum_age >= other.age.minimum_age
    assert default.retention.input_days <= other.retention.input_days
    assert default.retention.output_days <= other.retention.output_days
    assert default.age.birth_date_required >= other.age.birth_date_required


def test_the_ages_are_those_of_the_documents() -> None:
    ages = {name: profile.load(name).age for name in NAMES}
    assert {name: age.minimum_age for name, age in ages.items()} == {
        "default": 18, "carry": 18, "aicc": 18, "nexa": 18, "kling": 14, "silicon": 15,
    }  # fmt: skip
    assert ages["kling"].guardian_below == 18


def test_the_visible_label_is_as_large_and_long_as_the_standard_asks() -> None:
    for name in NAMES:
        labels = profile.load(name).labels
        assert labels.height_percent >= 5
        assert labels.seconds == 0 or labels.seconds >= 2


def test_a_file_of_ones_own_says_what_differs(tmp_path: Path) -> None:
    own = tmp_path / "ours.yaml"
    own.write_text("limits: {open_videos_per_organization: 7}")
    made = profile.load(str(own))
    assert made.name == "ours"
    assert made.limits.open_videos_per_organization == 7
    assert made.age == profile.load("default").age
    with pytest.raises(profile.ProfileError):
        profile.load(str(tmp_path / "theirs.yaml"))


FAULTS = {
    "unknown section": ({"color": {}}, "color"),
    "unknown field": ({"age": {"maximum_age": 3}}, "age.maximum_age"),
    "text for a number": ({"age": {"minimum_age": "18"}}, "age.minimum_age"),
    "truth for a number": ({"age": {"minimum_age": True}}, "age.minimum_age"),
    "negative": ({"retention": {"input_days": -1}}, "retention.input_days"),
    "fraction for a whole number": ({"retention": {"input_days": 0.5}}, "retention.input_days"),
    "number for a section": ({"age": 3}, "age"),
    "text for a list": ({"moderation": {"word_lists": "common"}}, "moderation.word_lists"),
    "number in a list of texts": ({"moderation": {"word_lists": [1]}}, "moderation.word_lists"),
    "not a mapping": ([1], "toy"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_names_its_field(tmp_path: Path, case: str) -> None:
    rules, named = FAULTS[case]
    (tmp_path / "default.yaml").write_text((profile.FOLDER / "default.yaml").read_text())
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(rules))
    with pytest.raises(profile.ProfileError, match=named):
        profile.load("toy", tmp_path)


def test_a_missing_field_of_the_default_is_told(tmp_path: Path) -> None:
    rules = yaml.safe_load((profile.FOLDER / "default.yaml").read_text())
    del rules["age"]["minimum_age"], rules["labels"]
    (tmp_path / "default.yaml").write_text(yaml.safe_dump(rules))
    with pytest.raises(profile.ProfileError, match="labels"):
        profile.load("default", tmp_path)


@pytest.mark.parametrize("name", ["nothing", "../default", "", "a/b"])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(profile.ProfileError):
        profile.load(name)

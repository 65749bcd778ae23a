"""When a model counts as running, and what the catalog must say."""

import dataclasses
import datetime

import pytest

from services.generation.models import catalog
from services.generation.models.domain import Capacity, capacity

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


def ago(seconds):
    return NOW - datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("last_ready", "reports", "expected"),
    [
        (None, [], Capacity("DOWN", 0, False)),
        (None, [(0, ago(1))], Capacity("WARMING", 0, False)),
        (ago(1), [(1, ago(1))], Capacity("READY", 1, True)),
        (ago(1), [(1, ago(1)), (2, ago(4)), (0, ago(2))], Capacity("READY", 3, True)),
        (ago(15), [(1, ago(15))], Capacity("READY", 1, True)),
        (ago(16), [(1, ago(16))], Capacity("ZERO", 0, True)),
        (ago(59), [], Capacity("ZERO", 0, True)),
        (ago(60), [], Capacity("DOWN", 0, True)),
        (ago(600), [(0, ago(3))], Capacity("WARMING", 0, True)),
    ],
)
def test_capacity_follows_the_reports(last_ready, reports, expected):
    assert capacity(NOW, last_ready, reports) == expected


def test_the_preview_model_says_that_it_is_none_that_generates():
    animatic = catalog.models()["animatic"]
    assert animatic.kind == "PREVIEW"
    assert "not a generative model" in animatic.description
    assert animatic.license == "Apache-2.0"


def test_a_model_costs_by_second_and_resolution():
    animatic = catalog.models()["animatic"]
    assert animatic.cost("720p", 5) == pytest.approx(5.0)
    assert animatic.cost("1080p", 2) > animatic.cost("720p", 2) > animatic.cost("480p", 2)


@pytest.mark.parametrize("wrong", [{"surprise": 1}, {"kind": "MAGIC"}, {"seconds": {"480p": 1.0}}])
def test_a_catalog_that_does_not_hold_together_is_told(wrong):
    entry = {key: value for key, value in dataclasses.asdict(catalog.models()["animatic"]).items() if key != "id"}
    with pytest.raises(ValueError, match="catalog"):
        catalog._model("animatic", entry | wrong)

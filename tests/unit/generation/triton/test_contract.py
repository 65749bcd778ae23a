"""The contract: what a job must say, and what is refused, field by field."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services.generation.film.camera import Control
from services.generation.film.label import Label
from services.generation.triton import contract
from services.generation.triton.contract import Event, Job, JobRefused, job_of_bytes

JOB = Job("vid_1", "灯塔", 5.0, 1280, 720, 24, 42, Label("AI生成", 2.5, 5.0), "blur", Control(1, -2, 10))


def _changed(**changes) -> bytes:
    told = json.loads(JOB.to_bytes())
    told.update(changes)
    return json.dumps(told).encode()


def test_a_job_comes_back_as_it_was_sent():
    assert job_of_bytes(JOB.to_bytes()) == JOB
    assert json.loads(JOB.to_bytes())["prompt"] == "灯塔"
    assert JOB.frames == 120


def test_steps_and_guidance_are_sent_only_when_they_are_said():
    assert not {"steps", "guidance_scale"} & json.loads(JOB.to_bytes()).keys()
    told = dataclasses.replace(JOB, steps=4, guidance_scale=1.5)
    assert job_of_bytes(told.to_bytes()) == told
    assert job_of_bytes(_changed(steps=None, guidance_scale=None)) == JOB


def test_what_may_be_left_out_has_a_default():
    told = json.loads(JOB.to_bytes())
    for name in ("negative_prompt", "camera_control"):
        del told[name]
    read = job_of_bytes(json.dumps(told).encode())
    assert read == dataclasses.replace(JOB, negative_prompt="", camera_control=Control())
    assert job_of_bytes(_changed(camera_control=None)).camera_control == Control()
    assert job_of_bytes(_changed(camera_control={"zoom": 4})).camera_control == Control(zoom=4)


FAULTS = [
    ("video", 1), ("video", "x" * 65), ("prompt", None), ("prompt", "x" * 10_001), ("negative_prompt", 3),
    ("duration_seconds", "5"), ("duration_seconds", 0), ("duration_seconds", 61), ("duration_seconds", True),
    ("duration_seconds", float("nan")), ("duration_seconds", 1e400),
    ("width", 1281), ("width", 64), ("width", 1280.0), ("width", 8192), ("width", 3000), ("width", "1280"),
    ("height", 721), ("height", -2), ("height", None),
    ("frame_rate", 0), ("frame_rate", 61), ("frame_rate", 23.976), ("seed", -1), ("seed", 2**63), ("seed", 1.5),
    ("camera_control", []), ("camera_control", "zoom in"), ("camera_control.zoom", {"zoom": 11}),
    ("camera_control.zoom", {"zoom": "4"}), ("camera_control.pan", {"pan": 1}), ("camera_control.zoom", {"zoom": None}),
    ("label", None), ("label", {}), ("label.text", {"text": "", "seconds": 2.5, "ink_percent": 5}),
    ("label.text", {"text": "   ", "seconds": 2.5, "ink_percent": 5}),
    ("label.seconds", {"text": "AI", "seconds": 0, "ink_percent": 5}),
    ("label.ink_percent", {"text": "AI", "seconds": 2.5, "ink_percent": 0}),
    ("label.color", {"text": "AI", "seconds": 2.5, "ink_percent": 5, "color": "red"}),
    ("steps", 0), ("steps", 201), ("steps", 4.5), ("steps", True), ("steps", "4"),
    ("guidance_scale", -0.1), ("guidance_scale", 30.5), ("guidance_scale", "5"), ("guidance_scale", float("nan")),
    ("fps", 24),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), FAULTS)
def test_each_fault_is_refused_by_the_name_of_its_field(field, value):
    with pytest.raises(JobRefused) as refused:
        job_of_bytes(_changed(**{field.split(".", maxsplit=1)[0]: value}))
    assert refused.value.reason == "FIELD_INVALID"
    assert refused.value.field.split(".")[0] == field.split(".", maxsplit=1)[0]
    assert refused.value.message.endswith(".")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "JOB_UNREADABLE"),
        (b"{", "JOB_UNREADABLE"),
        (b"[]", "JOB_UNREADABLE"),
        (b"\xff\xfe", "JOB_UNREADABLE"),
        (b"[" * 60_000, "JOB_UNREADABLE"),
        (b" " * (contract.MAX_JOB_BYTES + 1), "JOB_UNREADABLE"),
        (b"{}", "CONTRACT_VERSION"),
        (_changed(contract_version=2), "CONTRACT_VERSION"),
        (_changed(contract_version="1"), "CONTRACT_VERSION"),
    ],
)
def test_what_is_no_job_of_this_version_is_refused(data, reason):
    with pytest.raises(JobRefused) as refused:
        job_of_bytes(data)
    assert refused.value.reason == reason


VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
NAMES = some.sampled_from([field.name for field in dataclasses.fields(Job)]) | some.text(max_size=8)


@given(some.dictionaries(NAMES, VALUES, max_size=4))
def test_any_change_is_read_or_refused(changes):
    try:
        job_of_bytes(_changed(**changes))
    except JobRefused as refused:
        told = JobRefused.of_text(refused.to_text())
    else:
        return
    assert told is not None
    assert told.reason in ("FIELD_INVALID", "CONTRACT_VERSION")


@pytest.mark.parametrize("text", ["", "Stub process is not healthy", "{", "{}", '{"reason": "x"}', "[1]", '{"a": [}'])
def test_another_error_is_no_refusal(text):
    assert JobRefused.of_text(text) is None


def test_a_refusal_is_found_inside_tritons_words():
    told = JobRefused("FIELD_INVALID", "width", "It must be even.").to_text()
    read = JobRefused.of_text(f"in ensemble: {told}")
    assert (read.reason, read.field, read.message) == ("FIELD_INVALID", "width", "It must be even.")


NO_EVENTS = [
    b"", b"1", b"{}",
    b'{"stage": "GENERATING", "progress_percent": 101, "offset": 0}',
    b'{"stage": "RESTING", "progress_percent": 50, "offset": 0}',
]  # fmt: skip


@pytest.mark.parametrize("data", NO_EVENTS)
def test_what_is_no_event_is_refused(data):
    with pytest.raises(ValueError, match=r"."):
        Event.of_bytes(data)


def test_an_event_comes_back():
    event = Event(contract.GENERATING, 12.5, 99)
    assert Event.of_bytes(event.to_bytes()) == event

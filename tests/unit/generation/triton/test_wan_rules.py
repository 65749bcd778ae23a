"""What a job must be for given weights."""

import dataclasses
from pathlib import Path

import pytest

from services.generation.film.camera import Control
from services.generation.film.label import Label
from services.generation.triton.contract import Job, JobRefused
from services.generation.triton.wan import rules
from services.generation.triton.wan.families import I2V_2_1, T2V_2_1, T2V_2_2, TI2V_5B
from services.generation.triton.wan.weights import Settings, Weights

JOB = Job("vid", "a lighthouse", 5.0, 832, 480, 16, 7, Label("AI"))


def of(family, **changes):
    shared = ("frame_rate", "most_frames", "steps", "guidance_scale", "guidance_scale_2")
    settings = Settings(**{name: getattr(family, name) for name in shared} | changes)
    multiple = (32, 32) if family is TI2V_5B else (16, 16)
    return Weights(Path("w"), "WanPipeline", family, settings, multiple, 4, (multiple[0] * 64, multiple[1] * 64))


@pytest.mark.parametrize(
    ("shown", "made"), [(1, 1), (2, 5), (5, 5), (6, 9), (16, 17), (80, 81), (81, 81), (82, 85), (120, 121)]
)
def test_frames_are_made_up_to_one_more_than_a_multiple_of_four(shown, made):
    assert rules.frames_made(shown, 4) == made


def test_five_seconds_are_the_first_80_of_81_frames():
    plan = rules.plan(JOB, of(T2V_2_1), has_image=False)
    assert (plan.made, plan.shown, plan.steps, plan.guidance_scale, plan.guidance_scale_2) == (81, 80, 50, 5.0, None)


def test_a_job_may_say_steps_guidance_and_what_is_not_to_be_seen():
    plan = rules.plan(JOB, of(T2V_2_2, negative_prompt="blurry"), has_image=False)
    assert (plan.steps, plan.guidance_scale, plan.guidance_scale_2, plan.negative_prompt) == (40, 4.0, 3.0, "blurry")
    job = dataclasses.replace(JOB, steps=4, guidance_scale=1.5, negative_prompt="rain")
    plan = rules.plan(job, of(T2V_2_2, negative_prompt="blurry"), has_image=False)
    assert (plan.steps, plan.guidance_scale, plan.guidance_scale_2, plan.negative_prompt) == (4, 1.5, 1.5, "rain")


@pytest.mark.parametrize(
    ("family", "has_image", "changes", "field"),
    [
        (T2V_2_1, True, {}, "image"),
        (I2V_2_1, False, {}, "image"),
        (T2V_2_1, False, {"width": 840}, "width"),
        (T2V_2_1, False, {"height": 484}, "height"),
        (T2V_2_1, False, {"width": 1040}, "width"),
        (TI2V_5B, False, {"frame_rate": 24, "width": 848}, "width"),
        (T2V_2_1, False, {"frame_rate": 24}, "frame_rate"),
        (TI2V_5B, True, {}, "frame_rate"),
        (T2V_2_1, False, {"duration_seconds": 5.1}, "duration_seconds"),
        (T2V_2_1, False, {"camera_control": Control(zoom=1)}, "camera_control"),
    ],
)
def test_what_the_weights_cannot_do_is_refused_by_its_field(family, has_image, changes, field):
    with pytest.raises(JobRefused) as refused:
        rules.plan(dataclasses.replace(JOB, **changes), of(family), has_image=has_image)
    assert (refused.value.reason, refused.value.field) == ("FIELD_INVALID", field)
    assert refused.value.message.endswith(".")


def test_a_text_that_would_be_cut_is_refused():
    rules.check_tokens("prompt", 512)
    with pytest.raises(JobRefused, match="prompt: The text has 513 tokens"):
        rules.check_tokens("prompt", 513)

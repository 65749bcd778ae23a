"""What a job must be for given weights, and how its frames are counted. Pure: knows neither torch nor diffusers."""

import math
from dataclasses import dataclass

from services.generation.film.camera import Control
from services.generation.triton.contract import Job, JobRefused
from services.generation.triton.wan.weights import Weights

MAX_TOKENS = 512
"""The text encoder reads so many; what is longer would be cut without a word."""


@dataclass(frozen=True)
class Plan:
    """How a job is carried out.

    `made` frames are denoised, 1 more than a multiple of the latent's; the `shown` first ones are the film.
    """

    made: int
    shown: int
    steps: int
    guidance_scale: float
    guidance_scale_2: float | None
    negative_prompt: str


def plan(job: Job, weights: Weights, *, has_image: bool) -> Plan:
    """Holds a job against the weights' own rules. Raises JobRefused with the field that breaks one."""
    family, settings = weights.family, weights.settings
    if has_image and not family.image:
        raise _refused("image", "These weights make videos from text only.")
    if not has_image and not family.text:
        raise _refused("image", "These weights make videos from a picture, and there is none.")
    if job.camera_control != Control():
        raise _refused("camera_control", "This model moves no camera: say it in the prompt.")
    if job.frame_rate != settings.frame_rate:
        raise _refused("frame_rate", f"These weights make {settings.frame_rate} frames a second.")
    _check_size(job, weights)
    made = frames_made(job.frames, weights.frames_per_latent)
    if made > settings.most_frames:
        longest = f"{settings.most_frames / settings.frame_rate:.1f} s"
        raise _refused("duration_seconds", f"These weights make at most {settings.most_frames} frames, {longest}.")
    first = settings.guidance_scale if job.guidance_scale is None else job.guidance_scale
    second = settings.guidance_scale_2 if job.guidance_scale is None else job.guidance_scale
    return Plan(
        made=made,
        shown=job.frames,
        steps=job.steps or settings.steps,
        guidance_scale=first,
        guidance_scale_2=second if family.guidance_scale_2 is not None else None,
        negative_prompt=job.negative_prompt or settings.negative_prompt,
    )


def frames_made(shown: int, frames_per_latent: int) -> int:
    """The least number of frames that the autoencoder can decode to at least `shown`: 4k+1, so 81 for 80."""
    return math.ceil((shown - 1) / frames_per_latent) * frames_per_latent + 1


def check_tokens(field: str, tokens: int) -> None:
    """Raises JobRefused when a text has more tokens than the text encoder reads."""
    if tokens > MAX_TOKENS:
        raise _refused(field, f"The text has {tokens} tokens; this model reads {MAX_TOKENS}.")


def _check_size(job: Job, weights: Weights) -> None:
    measures = zip(("width", "height"), weights.multiple, weights.longest_side, strict=True)
    for side, multiple, longest in measures:
        if getattr(job, side) % multiple or getattr(job, side) > longest:
            raise _refused(side, f"These weights make pictures in multiples of {multiple} up to {longest}.")


def _refused(field: str, message: str) -> JobRefused:
    return JobRefused("FIELD_INVALID", field, message)

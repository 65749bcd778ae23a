"""Jobs for the tests of models, and what comes back."""

import dataclasses

from services.generation.film.label import Label
from services.generation.triton import client
from services.generation.triton.contract import Job
from tests.support.films import LABEL

SMALL = Job("vid_small", "灯塔", 1.0, 256, 144, 12, 7, Label("AI生成", 0.5))
FULL = Job("vid_full", "A lighthouse at dusk, slow zoom in", 5.0, 1280, 720, 24, 42, LABEL)
# Long enough that a test can do something in its middle.
LONG = dataclasses.replace(FULL, video="vid_long", duration_seconds=40.0)


async def made(server, job, image=b"", model="animatic") -> tuple[bytes, list[client.Step]]:
    """The whole file and all steps of a job."""
    steps = [step async for step in client.run(server, model, job, image, seconds=120)]
    return b"".join(step.piece for step in steps), steps

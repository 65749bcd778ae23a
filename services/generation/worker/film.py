"""From a model's pieces to the file that is published: labeled, read back, measured. Blocking parts run in threads."""

import asyncio
import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from opentelemetry.trace import SpanKind
from tritonclient.grpc.aio import InferenceServerClient

from services.generation.files.domain import Made
from services.generation.film.camera import Control
from services.generation.film.label import Label
from services.generation.labels import aigc, mark, readback
from services.generation.labels.inspection import Inspection
from services.generation.triton import client as triton
from services.generation.triton.contract import Event, Job
from services.generation.videos.tables import VideoRow
from services.generation.worker.usage import usage
from services.runtime import profile, tracing

WHOLE_VIDEO = 0
Progress = Callable[[Event], Awaitable[None]]


def visible_label(rules: profile.Labels, locale: str, duration_seconds: float) -> Label:
    """Return the label that the profile asks for, in its language; `seconds` 0 in the profile is the whole video."""
    text = rules.text_zh if locale.startswith("zh") else rules.text_en
    seconds = duration_seconds if rules.seconds == WHOLE_VIDEO else rules.seconds
    return Label(text, min(seconds, duration_seconds), rules.height_percent)


def job_of(video: VideoRow, label: Label) -> Job:
    """Write a video's parameters as a job of the model contract."""
    return Job(
        video=video.id,
        prompt=video.prompt or "",
        negative_prompt=video.negative_prompt or "",
        duration_seconds=video.duration_seconds,
        width=video.width,
        height=video.height,
        frame_rate=video.frame_rate,
        seed=video.seed,
        label=label,
        camera_control=Control(**(video.camera or {})),
    )


async def stream(
    server: InferenceServerClient, model: str, job: Job, *, image: bytes, target: Path, told: Progress, seconds: float
) -> Inspection:
    """Have a model do a job and write its pieces to `target`; `told` gets each event and may raise to stop the model.

    Answers the inspection of these pieces, which may still be looking at the last of them. Raises what `triton.run`
    raises: JobRefused, ModelUnavailable, ModelGone, RunTimedOut.
    """
    called = tracing.inside(f"triton {model}", SpanKind.CLIENT, model=model)
    looking = Inspection(job.label, job.frame_rate, job.frames)
    with usage.busy(model), called as span, target.open("xb") as file, looking as inspection:
        trace = tracing.traceparent(span)
        running = triton.run(server, model, job, image, seconds=seconds, traceparent=trace)
        async with contextlib.aclosing(running) as steps:
            async for step in steps:
                file.write(step.piece)
                inspection.feed(step.piece)
                await told(step.event)
    return inspection


async def label(raw: Path, published: Path, job: Job, provider_code: str, inspection: Inspection) -> Made:
    """Remux `raw` into `published` with its metadata label, read every label back from the final bytes, and measure.

    `inspection` has seen the pieces of `raw`; where the final file shows other pictures, it is decoded from its start.
    Raises FilmUnreadable or LabelMissing; such a file must not be published.
    """
    written = aigc.generated(provider_code)
    working = asyncio.create_task(asyncio.to_thread(_label, raw, published, job, written, inspection))
    try:
        return await asyncio.shield(working)
    finally:
        # A thread cannot be cancelled, and whoever cancels removes the folder that it works in.
        await asyncio.gather(working, return_exceptions=True)


def _label(raw: Path, published: Path, job: Job, written: aigc.Aigc, inspection: Inspection) -> Made:
    mark.mark(raw, published, written)
    report = readback.read(published, job.label, inspection.seen())
    wanted = readback.Expected(job.label, written, job.width, job.height, job.frame_rate, job.duration_seconds)
    readback.verify(report, wanted)
    measured = {field.name for field in dataclasses.fields(Made)} - {"sha256", "aigc"}
    with published.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    text = json.dumps(report.aigc, separators=(",", ":"))
    return Made(sha256=digest, aigc=text, **{name: getattr(report, name) for name in measured})

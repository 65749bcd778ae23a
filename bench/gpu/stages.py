"""Runs one order by our path and by stock diffusers, and takes the time of each stage."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.gpu import models
from bench.gpu.models import Published
from bench.gpu.roofline import tokens
from services.generation.film import encoder
from services.generation.film.label import Label
from services.generation.film.planes import from_rgb
from services.generation.triton.contract import Job
from services.generation.triton.wan import decoding, rules
from services.generation.triton.wan.pipeline import Order, Wan

PROMPT, NEGATIVE = "a lighthouse at dusk , slow zoom in .", "the sea is quiet"
Stages = dict[str, float]
ALIKE = 4


def operations(model: Published, guided: bool) -> Stages:
    """Operations of each stage: both prompts, one step, the autoencoder over all latent frames."""
    forwards = 2 if guided else 1
    count = tokens(model.frames, model.width, model.height, model.spatial)
    return {
        "text": forwards * model.text_encoder.forward(),
        "step": forwards * model.transformer.forward(count),
        "decode": decode_operations(model),
    }


def decode_operations(model: Published) -> float:
    """Counted by torch on tensors without memory; from the fourth latent frame on each takes what the last took."""
    frames = (model.frames - 1) // 4 + 1
    shape = model.height // model.spatial, model.width // model.spatial
    with torch.device("meta"):
        vae = models.vae(model)
        latents = torch.empty((1, vae.config.z_dim, min(frames, ALIKE), *shape))
    totals = [0.0]
    with FlopCounterMode(display=False) as counter:
        for _ in decoding.chunks(vae, latents):
            totals.append(float(counter.get_total_flops()))
    return totals[-1] + max(0, frames - ALIKE) * (totals[-1] - totals[-2])


def order_of(wan: Wan, model: Published, steps: int) -> Order:
    """The published clip as an order of ours; all of its frames are shown."""
    rate = model.family.frame_rate
    job = Job(
        "bench", PROMPT, model.frames / rate, model.width, model.height, rate, 0, Label("AI生成", 0.5),
        negative_prompt=NEGATIVE, steps=steps,
    )  # fmt: skip
    return Order(job, rules.plan(job, wan.weights, has_image=False), None)


class Clock:
    """Takes times when the device has done what it was told."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)

    def now(self) -> float:
        """Seconds."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def take(self, act: Callable[[], Any]) -> tuple[float, Any]:
        """How long something took, and what it answered."""
        began = self.now()
        answer = act()
        return self.now() - began, answer


def text(pipe: Any, clock: Clock) -> float:
    """Seconds of encoding both prompts."""

    def encode() -> None:
        with torch.no_grad():
            pipe.encode_prompt(PROMPT, NEGATIVE, max_sequence_length=rules.MAX_TOKENS)

    encode()
    return clock.take(encode)[0]


def ours(wan: Wan, order: Order, clock: Clock) -> Stages:
    """Seconds by our path. `film` is decoding and encoding beside each other, as a customer waits for it."""
    moments: list[float] = []
    total, latents = clock.take(lambda: wan.denoise(order, lambda _: moments.append(clock.now())))
    film, _ = clock.take(lambda: [step.done for step in wan.film(latents, order)])
    ready = decoding.denormalized(wan.vae, latents)
    decode, parts = clock.take(lambda: [decoding.pixels(part) for part in decoding.chunks(wan.vae, ready)])
    encode, _ = clock.take(lambda: _encoded(itertools.chain.from_iterable(parts), order))
    return {"step": _step(moments, total), "decode": decode, "encode": encode, "film": film, "whole": total + film}


def stock(pipe: Any, order: Order, clock: Clock) -> Stages:
    """Seconds of diffusers' own call; its pictures are encoded when they are all there."""
    job, plan, moments = order.job, order.plan, []

    def ended(_pipe: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        moments.append(clock.now())
        return tensors

    def call() -> Any:
        return pipe(
            prompt=job.prompt, negative_prompt=plan.negative_prompt, width=job.width, height=job.height,
            num_frames=plan.made, num_inference_steps=plan.steps, guidance_scale=plan.guidance_scale,
            guidance_scale_2=plan.guidance_scale_2, generator=torch.Generator("cpu").manual_seed(job.seed),
            callback_on_step_end=ended, max_sequence_length=rules.MAX_TOKENS, output_type="np",
        ).frames[0]  # fmt: skip

    began = clock.now()
    total, frames = clock.take(call)
    decode = total - (moments[-1] - began)
    levels = (frame for frame in (np.nan_to_num(frames) * 255).round().astype(np.uint8))
    encode, _ = clock.take(lambda: _encoded(levels, order))
    step = _step(moments, moments[-1] - began)
    return {"step": step, "decode": decode, "encode": encode, "film": decode + encode, "whole": total + encode}


def _encoded(frames: Iterable[Any], order: Order) -> int:
    planes = (from_rgb(np.ascontiguousarray(frame)) for frame in frames)
    steps = encoder.film(planes, order.plan.shown, order.job.frame_rate, order.job.label)
    return sum(len(step.piece) for step in steps)


def _step(moments: list[float], total: float) -> float:
    """The median time between two steps; of a single step all there is."""
    between = [after - before for before, after in itertools.pairwise(moments)]
    return statistics.median(between) if between else total

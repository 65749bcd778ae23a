"""A loaded pipeline of the Wan family: an order in, a labeled film out. Knows nothing of Triton; see serving.py."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from PIL import Image, ImageOps

from services.generation.film import encoder, still
from services.generation.film.label import Label, LabelUnfit, plate
from services.generation.film.planes import from_rgb
from services.generation.triton.contract import Job, JobRefused, ModelUnfit
from services.generation.triton.wan import decoding, rules
from services.generation.triton.wan.families import TEXT_PIPELINE
from services.generation.triton.wan.weights import Weights

Told = Callable[[float], None]
WARM_UP_STEPS, WARM_UP_LATENTS, WARM_UP_SIDE = 2, 2, 128
CLIP_PARTS = ("image_encoder", "image_processor")
MAX_FAULT_LENGTH = 120


@dataclass(frozen=True)
class Order:
    """A job that these weights can do: its plan, and its first frame if it has one, cut to the film's size."""

    job: Job
    plan: rules.Plan
    picture: Image.Image | None


class Wan:
    """One pipeline on one device; does one order at a time. The same order gives the same latents each time."""

    def __init__(self, pipe: Any, weights: Weights) -> None:
        self.weights = weights
        self.vae = pipe.vae
        pipe.set_progress_bar_config(disable=True)
        self._pipe = self._picture_pipe = pipe
        if weights.family.text and weights.family.image:
            parts = {name: part for name, part in pipe.components.items() if name not in CLIP_PARTS}
            kinds = diffusers.WanPipeline, diffusers.WanImageToVideoPipeline
            self._pipe, self._picture_pipe = (kind(**parts, expand_timesteps=True) for kind in kinds)
            for made in (self._pipe, self._picture_pipe):
                made.set_progress_bar_config(disable=True)

    def order(self, job: Job, image: bytes) -> Order:
        """Checks everything that can be wrong with a job before the first step. Raises JobRefused."""
        plan = rules.plan(job, self.weights, has_image=bool(image))
        for field, text in (("prompt", job.prompt), ("negative_prompt", plan.negative_prompt)):
            rules.check_tokens(field, len(self._pipe.tokenizer(prompt_clean(text)).input_ids))
        try:
            plate(job.label, job.width, job.height)
            picture = ImageOps.fit(still.decode(image), (job.width, job.height)) if image else None
        except still.ImageUnfit as unfit:
            raise JobRefused(unfit.reason, "image", str(unfit)) from unfit
        except LabelUnfit as unfit:
            raise JobRefused("FIELD_INVALID", "label.text", str(unfit)) from unfit
        return Order(job, plan, picture)

    def denoise(self, order: Order, told: Told) -> torch.Tensor:
        """The film as latents. `told` gets the share that is done (0 to 1) after each step and may raise to stop it."""
        plan, device = order.plan, self.vae.device

        def ended(_pipe: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # else the steps would be told of before they are done
            told((step + 1) / plan.steps)
            return tensors

        experts = {} if plan.guidance_scale_2 is None else {"guidance_scale_2": plan.guidance_scale_2}
        picture = {} if order.picture is None else {"image": order.picture}
        pipe = self._pipe if order.picture is None else self._picture_pipe
        # Noise is drawn on the CPU, so that a seed means the same on every device.
        generator = torch.Generator("cpu").manual_seed(order.job.seed)
        answer = pipe(
            prompt=order.job.prompt, negative_prompt=plan.negative_prompt, width=order.job.width,
            height=order.job.height, num_frames=plan.made, num_inference_steps=plan.steps,
            guidance_scale=plan.guidance_scale, generator=generator, callback_on_step_end=ended,
            max_sequence_length=rules.MAX_TOKENS, output_type="latent", return_dict=False, **experts, **picture,
        )  # fmt: skip
        return answer[0]

    def film(self, latents: torch.Tensor, order: Order) -> Iterator[encoder.Step]:
        """Decodes and encodes, a step for each frame. Close it: its thread ends with it."""
        job, decoded = order.job, decoding.denormalized(self.vae, latents)
        parts = decoding.ahead(lambda: map(decoding.pixels, decoding.chunks(self.vae, decoded)))
        with contextlib.closing(parts):  # type: ignore[type-var]
            frames = (from_rgb(pixels) for part in parts for pixels in part)
            yield from encoder.film(frames, order.plan.shown, job.frame_rate, job.label)

    def warm_up(self) -> None:
        """Makes a tiny film, so that the first order finds everything loaded. Raises JobRefused for odd weights."""
        settings, sides = self.weights.settings, self.weights.multiple
        width, height = (multiple * -(-WARM_UP_SIDE // multiple) for multiple in sides)
        frames = WARM_UP_LATENTS * self.weights.frames_per_latent
        job = Job(
            "warm-up", "Filmgate", frames / settings.frame_rate, width, height, settings.frame_rate, 0,
            Label("AI生成", 0.5), steps=WARM_UP_STEPS,
        )  # fmt: skip
        plan = rules.plan(job, self.weights, has_image=not self.weights.family.text)
        picture = None if self.weights.family.text else Image.new("RGB", (width, height))
        order = Order(job, plan, picture)
        for _ in self.film(self.denoise(order, lambda _: None), order):
            pass


def load(weights: Weights, device: str) -> Wan:
    """Reads the weights, safetensors alone, onto a device such as cuda:0 or cpu. Raises ModelUnfit."""
    kind = diffusers.WanPipeline if weights.pipeline == TEXT_PIPELINE else diffusers.WanImageToVideoPipeline
    usual = "bfloat16" if device.startswith("cuda") else "float32"
    settings = weights.settings
    dtypes = {"default": settings.dtype or usual, "vae": settings.vae_dtype or settings.dtype or usual}
    try:
        pipe = kind.from_pretrained(
            weights.folder, dtype={name: getattr(torch, dtype) for name, dtype in dtypes.items()},
            use_safetensors=True, local_files_only=True,
        )  # fmt: skip
        return Wan(pipe.to(device), weights)
    except Exception as fault:  # whatever the libraries stumble over means one thing for an operator
        told = f"{type(fault).__name__}: {' '.join(str(fault).split())[:MAX_FAULT_LENGTH]}"
        raise ModelUnfit(f"The weights in {weights.folder} cannot be loaded: {told}") from fault

"""What our path makes of a folder of weights, beside diffusers' own: `python -m tests.wan.inside FOLDER KIND...`.

It runs on the Python of .venv-wan and prints one JSON object by kind. The tests read it; here nothing is judged.
"""

import io
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image

from services.generation.film.label import Label
from services.generation.triton.contract import Job
from services.generation.triton.wan import decoding, pipeline, weights

WORDS = "a lighthouse at dusk"
SIZE = 128


def job(wan: pipeline.Wan, **changes: Any) -> Job:
    """Two latent frames and one, in the smallest size."""
    rate = wan.weights.settings.frame_rate
    usual = {"video": "vid", "prompt": WORDS, "duration_seconds": 8 / rate, "width": SIZE, "height": SIZE}
    return Job(**{**usual, "frame_rate": rate, "seed": 7, "label": Label("AI生成", 0.5), **changes})


def picture(wan: pipeline.Wan) -> bytes:
    """A first frame for weights that need one."""
    if wan.weights.family.text:
        return b""
    data = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(data, "PNG")
    return data.getvalue()


def stock(wan: pipeline.Wan, order: pipeline.Order) -> Any:
    """The pictures of diffusers' pipeline for an order, from a pipeline that is loaded anew: frames from 0 to 1."""
    kind = getattr(diffusers, wan.weights.pipeline)
    pipe = kind.from_pretrained(wan.weights.folder, local_files_only=True)
    seen = {} if order.picture is None else {"image": order.picture}
    return pipe(
        prompt=order.job.prompt, negative_prompt=order.plan.negative_prompt, width=SIZE, height=SIZE,
        num_frames=order.plan.made, num_inference_steps=order.plan.steps, guidance_scale=order.plan.guidance_scale,
        guidance_scale_2=order.plan.guidance_scale_2, generator=torch.Generator("cpu").manual_seed(order.job.seed),
        output_type="pt", **seen,
    ).frames[0]  # fmt: skip


def report(folder: Path) -> dict[str, Any]:
    """Compare the two for one folder."""
    wan = pipeline.load(weights.read(folder), "cpu")
    wan.warm_up()
    order = wan.order(job(wan), picture(wan))
    told: list[float] = []
    latents = wan.denoise(order, told.append)
    ready = decoding.denormalized(wan.vae, latents)
    parts = list(decoding.chunks(wan.vae, ready))
    with torch.no_grad():
        whole = wan.vae.decode(ready).sample
    ours = torch.cat(parts, dim=2)
    theirs = stock(wan, order)
    seen = (ours[0] * 0.5 + 0.5).permute(1, 0, 2, 3)
    return {
        "told": told,
        "chunks": [part.shape[2] for part in parts],
        "from_decode": float((ours - whole).abs().max()),
        "from_stock": float((seen - theirs).abs().max()),
        "spread": float(theirs.std()),
        "frames": [order.plan.made, order.plan.shown, int(theirs.shape[0])],
    }


def ahead() -> dict[str, Any]:
    """How far the thread that decodes runs ahead of a slow reader, and what becomes of its faults."""
    made, waiting = 0, []

    def numbers() -> Iterator[int]:
        nonlocal made
        for number in range(20):
            made += 1
            yield number
        raise ValueError

    reading, fault = decoding.ahead(numbers), ""
    try:
        for number in reading:
            waiting.append(made - number - 1)
    except ValueError as raised:
        fault = type(raised).__name__
    left = decoding.ahead(numbers)
    next(left)
    left.close()  # type: ignore[attr-defined]
    threads = [thread for thread in threading.enumerate() if thread.name == "ahead"]
    return {"most": max(waiting), "fault": fault, "threads_left": len(threads)}


def main(folder: Path, kinds: list[str]) -> None:
    """Print what was found."""
    print(json.dumps({"ahead": ahead(), **{kind: report(folder / kind) for kind in kinds}}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

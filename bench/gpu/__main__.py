"""Measure, print the table, write the JSON; on a Python that has torch (.venv-wan/bin/python)."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from bench.gpu import models, stages
from bench.gpu.roofline import GOOD, PASS, PETA, share
from services.generation.triton.wan.pipeline import Wan

H200_TFLOPS = 790.0
"""What an H200 reaches in dense bfloat16; its data sheet says 989."""
STAGES = {
    "text": "text encoder",
    "step": "one step",
    "decode": "VAE decode",
    "encode": "H.264",
    "film": "decode + H.264",
}


def measured(name: str, device: str, steps: int, peak: float) -> dict[str, Any]:
    """All figures of one model: seconds and share of the roofline by stage, ours and stock."""
    model, clock = models.MODELS[name], stages.Clock(device)
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    pipe = models.pipeline(model, device, dtype)
    wan = Wan(pipe, models.weights(model))
    wan.warm_up()
    count = steps or model.family.steps
    order = stages.order_of(wan, model, count)
    encoded = {"text": stages.text(pipe, clock)}
    seconds = {
        "ours": encoded | stages.ours(wan, order, clock),
        "stock": encoded | stages.stock(pipe, order, clock),
    }
    needed = stages.operations(model, guided=order.plan.guidance_scale > 1)
    shares = {
        path: {stage: share(needed[stage], took[stage], peak) for stage in needed} for path, took in seconds.items()
    }
    return {
        "model": name, "device": device_name(device), "width": model.width, "height": model.height,
        "frames": model.frames, "steps": count, "dtype": str(dtype).removeprefix("torch."), "peak_tflops": peak,
        "petaflop": {stage: flop / PETA for stage, flop in needed.items()}, "seconds": seconds, "share": shares,
    }  # fmt: skip


def device_name(device: str) -> str:
    """As the driver calls it."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def table(found: dict[str, Any]) -> list[str]:
    """The figures of one model for a person."""
    clip = f"{found['width']}x{found['height']}, {found['frames']} frames, {found['steps']} steps"
    lines = [f"{found['model']} on {found['device']}: {clip}, {found['dtype']}, peak {found['peak_tflops']:g} TFLOP/s"]
    lines.append(f"{'stage':<16} {'PFLOP':>9} {'ours s':>10} {'share':>7} {'stock s':>10} {'share':>7}")
    for stage, title in STAGES.items():
        flop = found["petaflop"].get(stage)
        cells = [f"{title:<16} {'' if flop is None else f'{flop:.4g}':>9}"]
        for path in ("ours", "stock"):
            part = found["share"][path].get(stage)
            told = "" if part is None else f"{part:.1%}"
            cells.append(f"{found['seconds'][path][stage]:>10.3f} {told:>7}")
        lines.append(" ".join(cells))
    reached = found["share"]["ours"]["step"]
    grade = "good" if reached >= GOOD else "pass" if reached >= PASS else "BELOW what plain diffusers reaches"
    whole = {path: found["seconds"][path]["whole"] for path in ("ours", "stock")}
    lines.append(
        f"whole film: ours {whole['ours']:.2f} s, stock {whole['stock']:.2f} s; a step at {reached:.1%}: {grade}"
    )
    return lines


def main(arguments: list[str]) -> int:
    """Measure the models that are asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu")
    parser.add_argument("--model", action="append", choices=sorted(models.MODELS), help="may be said more than once")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=0, help="denoising steps; 0: as published")
    parser.add_argument("--peak-tflops", type=float, default=H200_TFLOPS, help="dense bfloat16 of the device")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args(arguments)
    found = []
    for name in chosen.model or ["wan2.1-t2v-1.3b", "wan2.2-ti2v-5b"]:
        found.append(measured(name, chosen.device, chosen.steps, chosen.peak_tflops))
        print("\n".join(table(found[-1])), end="\n\n", flush=True)
        if chosen.device.startswith("cuda"):
            torch.cuda.empty_cache()
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

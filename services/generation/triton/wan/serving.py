"""What the Python backend calls for every model of the Wan family. Importable inside the stub only."""

import contextlib
from typing import Any

from services.generation.triton import process, stub
from services.generation.triton.contract import ENCODING, GENERATING, Job, ModelUnfit
from services.generation.triton.stub import Answer
from services.generation.triton.wan import weights

DENOISED_PERCENT = 90
"""The share of the bar that denoising has; the rest is decoding and encoding."""


class TritonPythonModel:
    """One pipeline on the instance's device. It does one job at a time and blocks until it is done."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Loads the weights and makes a tiny film of them. Raises ModelUnfit, whose sentence Triton passes on."""
        process.end_with_parent()
        process.keep_private()
        found = weights.find(args["model_name"])
        weights.packages()
        weights.stay_offline()
        self._wan = _loaded(found, args)
        self._wan.warm_up()

    def execute(self, requests: Any) -> None:
        """Answers each request by events and pieces of fragmented MP4; the last one bears the FINAL flag."""
        stub.serve(requests, self._make)

    def _make(self, job: Job, image: bytes, answer: Answer) -> None:
        order = self._wan.order(job, image)
        answer.tell(GENERATING, 0.0)
        latents = self._wan.denoise(order, lambda done: answer.tell(GENERATING, DENOISED_PERCENT * done))
        with contextlib.closing(self._wan.film(latents, order)) as steps:  # type: ignore[type-var]
            answer.film(steps, first_percent=DENOISED_PERCENT, stage=ENCODING)


def _loaded(found: weights.Weights, args: dict[str, Any]) -> Any:
    """The pipeline on the instance's GPU, or on one that Triton does not know of, or on the CPU."""
    try:
        import torch  # noqa: PLC0415  what is missing is told before anything heavy is imported

        from services.generation.triton.wan import pipeline  # noqa: PLC0415
    except ImportError as fault:
        raise ModelUnfit(f"A package of Triton's Python cannot be imported: {fault}.") from fault
    if args["model_instance_kind"] == "GPU":
        return pipeline.load(found, f"cuda:{args['model_instance_device_id']}")
    return pipeline.load(found, "cuda" if torch.cuda.is_available() else "cpu")

"""The model `animatic` with a weakness, for tests: certain prompts kill its process, or the whole server.

It runs inside Triton's stub as the product's model does, whose code does all other jobs. `poison.repository` loads it.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "services" / "generation" / "triton" / "animatic" / "1" / "model.py"
SPEC = importlib.util.spec_from_file_location("animatic_model", MODEL)
animatic = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = animatic
SPEC.loader.exec_module(animatic)

from services.generation.triton import stub  # noqa: E402  the model has put the house on the path
from tests.support import poison  # noqa: E402


class TritonPythonModel(animatic.TritonPythonModel):
    """The product's model, and what the poisons do to it."""

    def execute(self, requests):
        """Make the videos; a poisoned one does its harm some frames into the film."""
        stub.serve(requests, _make)


def _make(job, image, answer):
    answer.film(_poisoned(job.prompt, animatic._steps(job, image)))


def _poisoned(prompt, steps):
    for step in steps:
        if step.done > poison.FRAMES and poison.MODEL in prompt:
            os.abort()
        if step.done > poison.FRAMES and poison.SERVER in prompt:
            os.kill(os.getppid(), signal.SIGKILL)
        yield step

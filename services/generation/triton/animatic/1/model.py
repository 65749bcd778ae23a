"""The preview model `animatic`: moves a camera over the customer's picture, or sets the prompt as a title card.

It runs inside Triton's Python stub, which knows only the system's packages and ignores PYTHONPATH. So the first
lines put two folders on the path: the packages of the models' own environment, which the supervisor links beside
the backend (a container has them in its system instead), and the root that `services` is imported from.
"""

import importlib.util
import sys
from pathlib import Path

BACKEND = importlib.util.find_spec("triton_python_backend_utils")
if BACKEND is None or BACKEND.origin is None:
    raise ImportError("a model runs inside Triton's Python stub only")
SITE = Path(BACKEND.origin).with_name("site-packages")
ROOT = Path(__file__).resolve().parents[5]
sys.path[:0] = [str(folder) for folder in (SITE, ROOT) if folder.is_dir() and str(folder) not in sys.path]

from services.generation.film import camera, card, encoder, still  # noqa: E402
from services.generation.film.label import Label, LabelUnfit, plate  # noqa: E402
from services.generation.triton import contract, process, stub  # noqa: E402


class TritonPythonModel:
    """What the Python backend calls. One instance does one job at a time and blocks until it is done."""

    def initialize(self, args):
        """Makes a tiny video, so that the first job finds everything loaded."""
        process.end_with_parent()
        process.keep_private()
        job = contract.Job("warm-up", "Filmgate 预热", 0.5, 128, 128, 8, 0, Label("AI生成", 0.5))
        for _ in _steps(job, b""):
            pass

    def execute(self, requests):
        """Answers each request by events and pieces of fragmented MP4; the last one bears the FINAL flag."""
        stub.serve(requests, lambda job, image, answer: answer.film(_steps(job, image)))


def _steps(job, image):
    """The frames of the job, encoded with the label. Raises JobRefused before the first one."""
    output = job.width, job.height
    control = camera.chosen(job.camera_control, job.prompt, job.seed)
    try:
        plate(job.label, *output)
        if image:
            frames = still.frames(still.decode(image), control, output, job.frames)
        else:
            frames = card.frames(job.prompt, control, job.seed, output=output, count=job.frames, rate=job.frame_rate)
    except still.ImageUnfit as unfit:
        raise contract.JobRefused(unfit.reason, "image", str(unfit)) from unfit
    except LabelUnfit as unfit:
        raise contract.JobRefused("FIELD_INVALID", "label.text", str(unfit)) from unfit
    return encoder.film(frames, job.frames, job.frame_rate, job.label)

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

import numpy as np  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402

from services.generation.film import camera, card, encoder, still  # noqa: E402
from services.generation.film.label import Label, LabelUnfit, plate  # noqa: E402
from services.generation.triton import contract, process  # noqa: E402

EVENTS = 40
FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


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
        for request in requests:
            sender = request.get_response_sender()
            try:
                _answer(request, sender)
            except contract.JobRefused as refusal:
                _refuse(sender, refusal)


def _answer(request, sender):
    """Streams one video; a cancelled one ends with the next frame."""
    job = contract.job_of_bytes(_input(request, contract.JOB))
    every = max(1, job.frames // EVENTS)
    held, offset = b"", 0
    for step in _steps(job, _input(request, contract.IMAGE)):
        if sender.is_cancelled():
            sender.send(flags=FINAL)
            return
        held += step.piece
        last = step.done == step.total
        if not held and not last and step.done % every:
            continue
        event = contract.Event(
            contract.ENCODING if last else contract.GENERATING, round(100 * step.done / step.total, 1), offset
        )
        sender.send(_response(event, held), flags=FINAL if last else 0)
        held, offset = b"", offset + len(held)


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


def _input(request, name):
    """The bytes of an input; none when it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return b"" if tensor is None else tensor.as_numpy().tobytes()


def _response(event, piece):
    values = ((contract.EVENT, event.to_bytes()), (contract.PIECE, piece))
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, np.frombuffer(data, np.uint8)) for name, data in values])


def _refuse(sender, refusal):
    error = pb_utils.TritonError(refusal.to_text(), pb_utils.TritonError.INVALID_ARG)
    sender.send(pb_utils.InferenceResponse(error=error), flags=FINAL)

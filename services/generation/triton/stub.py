"""What every model does inside Triton's Python stub: read a job, answer by events and pieces, refuse, notice a cancel.

Importable inside the stub only. A model gives `serve` a function that makes one video and tells of it by an Answer.
"""

import ctypes
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from services.generation.film.encoder import Step
from services.generation.triton import contract
from services.generation.triton.contract import ENCODING, GENERATING, Event, Job, JobRefused

EVENTS = 40
"""So many events at least tell of a film's frames, if it has as many."""
FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
USED = b"used_dltensor"  # a capsule keeps the address of its name, so this lives as long as the process


class Cancelled(Exception):
    """Whoever ordered the video wants it no more: drop everything."""


class Answer:
    """The stream of one request. Offsets are kept here, so that pieces come without gaps."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._sender = request.get_response_sender()
        self._offset = 0

    def job(self) -> Job:
        """The order, checked. Raises JobRefused."""
        return contract.job_of_bytes(self._input(contract.JOB))

    def image(self) -> bytes:
        """The file of the first frame; empty when there is none."""
        return self._input(contract.IMAGE)

    def check(self) -> None:
        """Raises Cancelled when the video is no longer wanted."""
        if self._sender.is_cancelled():
            raise Cancelled

    def tell(self, stage: str, percent: float, piece: bytes = b"", *, last: bool = False) -> None:
        """Sends where the work stands (0 to 100, never falling) and the next bytes. Raises Cancelled instead."""
        self.check()
        event = Event(stage, round(percent, 1), self._offset)
        tensors = [_tensor(contract.EVENT, event.to_bytes()), _tensor(contract.PIECE, piece)]
        self._sender.send(pb_utils.InferenceResponse(tensors), flags=FINAL if last else 0)
        self._offset += len(piece)

    def film(self, steps: Iterable[Step], *, first_percent: float = 0.0, stage: str = GENERATING) -> None:
        """Sends a film while it is encoded, its frames counting from `first_percent` to 100. Raises Cancelled."""
        for step in steps:
            self.check()
            last = step.done == step.total
            if step.piece or last or not step.done % max(1, step.total // EVENTS):
                percent = first_percent + (100 - first_percent) * step.done / step.total
                self.tell(ENCODING if last else stage, percent, step.piece, last=last)

    def refuse(self, refusal: JobRefused) -> None:
        """Ends the stream by the one error of a job that cannot be done."""
        self._end(pb_utils.TritonError(refusal.to_text(), pb_utils.TritonError.INVALID_ARG))

    def fail(self, fault: Exception) -> None:
        """Ends the stream by an error that another try may not meet. Its text is not kept: it may quote a prompt."""
        places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(fault.__traceback__)]
        pb_utils.Logger.log_error(f"{type(fault).__name__} at {' '.join(places[-8:])}")
        self._end(pb_utils.TritonError(f"The model failed: {type(fault).__name__}", pb_utils.TritonError.INTERNAL))

    def stop(self) -> None:
        """Ends the stream of a cancelled job."""
        self._sender.send(flags=FINAL)

    def _end(self, error: Any) -> None:
        self._sender.send(pb_utils.InferenceResponse(error=error), flags=FINAL)

    def _input(self, name: str) -> bytes:
        tensor = pb_utils.get_input_tensor_by_name(self._request, name)
        return b"" if tensor is None else np.from_dlpack(tensor).tobytes()


def serve(requests: Iterable[Any], make: Callable[[Job, bytes, Answer], None]) -> None:
    """Answers each request, one after the other; each ends by exactly one FINAL flag, whatever happens in it."""
    for request in requests:
        answer = Answer(request)
        try:
            make(answer.job(), answer.image(), answer)
        except JobRefused as refusal:
            answer.refuse(refusal)
        except Cancelled:
            answer.stop()
        except Exception as fault:  # noqa: BLE001  the next job finds a living model
            answer.fail(fault)


def _tensor(name: str, data: bytes) -> Any:
    """An output by DLPack, since the stub's constructor, built for NumPy 1, makes empty tensors of NumPy 2's arrays.

    The stub marks a capsule it has taken as "used_dlpack" where the protocol says "used_dltensor". NumPy then takes it
    for one that was never used, and each release fails: an error for every tensor, under Python 3.11 without end.
    """
    capsule = np.frombuffer(bytearray(data), np.uint8).__dlpack__()  # a copy: DLPack lends no read-only memory
    tensor = pb_utils.Tensor.from_dlpack(name, capsule)
    ctypes.pythonapi.PyCapsule_SetName(ctypes.py_object(capsule), USED)
    return tensor

"""The contract of all video models: what a job says, what a model answers, by the names both sides use.

README.md in this folder tells it in words. Worker and models import this module, so that neither can drift.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from services.generation.film.camera import LIMIT, Control
from services.generation.film.label import Label

VERSION = 1
JOB, IMAGE, EVENT, PIECE = "JOB", "IMAGE", "EVENT", "PIECE"
GENERATING, ENCODING = "GENERATING", "ENCODING"
MAX_JOB_BYTES = 128 * 1024
MAX_PROMPT_LENGTH = 10_000
SIDES = (128, 4096)
MAX_PIXELS = 1920 * 1088
SECONDS = (0.5, 60.0)
FRAME_RATES = (8, 60)
SEEDS = (0, 2**63 - 1)
STEPS = (1, 200)
GUIDANCE_SCALES = (0.0, 30.0)


class ModelUnfit(Exception):
    """A model cannot be loaded: one sentence that tells an operator what is missing. Raised by its `initialize`."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"<<{sentence}>>")


def unfit_of_text(text: str) -> str:
    """The sentence of the ModelUnfit in a server's account of a failed load; empty when there is none."""
    _, begun, rest = text.partition("<<")
    sentence, ended, _ = rest.partition(">>")
    return sentence if begun and ended else ""


class JobRefused(Exception):
    """The model will not do this job, however often it is asked; `field` names what is wrong with it."""

    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.reason, self.field, self.message = reason, field, message

    def to_text(self) -> str:
        """As the text of a Triton error."""
        return json.dumps({"reason": self.reason, "field": self.field, "message": self.message}, ensure_ascii=True)

    @classmethod
    def of_text(cls, text: str) -> "JobRefused | None":
        """The refusal that a Triton error's text holds, or None when it holds none."""
        try:
            told = json.loads(text[text.index("{") :])
            return cls(str(told["reason"]), str(told["field"]), str(told["message"]))
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class Job:
    """One video to make, every parameter resolved. Sizes in pixels, even; `video` is its id, for logs only.

    `steps` and `guidance_scale` None: the model's own. A model that does not denoise has no use for them.
    """

    video: str
    prompt: str
    duration_seconds: float
    width: int
    height: int
    frame_rate: int
    seed: int
    label: Label
    negative_prompt: str = ""
    camera_control: Control = field(default_factory=Control)
    steps: int | None = None
    guidance_scale: float | None = None
    contract_version: int = VERSION

    @property
    def frames(self) -> int:
        """How many frames the video has."""
        return max(1, round(self.duration_seconds * self.frame_rate))

    def to_bytes(self) -> bytes:
        """As the UTF-8 JSON of the input JOB."""
        told = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(told, ensure_ascii=False, allow_nan=False).encode()


@dataclass(frozen=True)
class Event:
    """What a response says beside its piece: where the work stands, and where in the file the piece belongs."""

    stage: str
    progress_percent: float
    offset: int

    def to_bytes(self) -> bytes:
        """As the UTF-8 JSON of the output EVENT."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def of_bytes(cls, data: bytes) -> "Event":
        """Reads an EVENT. Raises ValueError when it is not one."""
        told = json.loads(data)
        if not isinstance(told, dict):
            raise ValueError("EVENT is no object")
        try:
            event = cls(str(told["stage"]), float(told["progress_percent"]), int(told["offset"]))
        except (KeyError, TypeError) as fault:
            raise ValueError("EVENT lacks a field") from fault
        if event.stage not in (GENERATING, ENCODING):
            raise ValueError("EVENT's stage is not in the contract")
        if not 0 <= event.progress_percent <= 100:
            raise ValueError("EVENT's progress is no percentage")
        return event


def job_of_bytes(data: bytes) -> Job:
    """Reads and checks a JOB; a field that the contract does not name is an error. Raises JobRefused."""
    if len(data) > MAX_JOB_BYTES:
        raise JobRefused("JOB_UNREADABLE", "job", f"The job is longer than {MAX_JOB_BYTES} bytes.")
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as fault:
        raise JobRefused("JOB_UNREADABLE", "job", "The job is not JSON in UTF-8.") from fault
    if not isinstance(told, dict):
        raise JobRefused("JOB_UNREADABLE", "job", "The job is not a JSON object.")
    if told.get("contract_version") != VERSION:
        raise JobRefused("CONTRACT_VERSION", "contract_version", f"This model speaks contract version {VERSION}.")
    return _job(_Fields(told, ""))


def _job(job: "_Fields") -> Job:
    label, camera = job.inner("label"), job.inner("camera_control", optional=True)
    read = Job(
        video=job.text("video", 64),
        prompt=job.text("prompt", MAX_PROMPT_LENGTH),
        negative_prompt=job.text("negative_prompt", MAX_PROMPT_LENGTH, default=""),
        duration_seconds=job.number("duration_seconds", *SECONDS),
        width=job.whole("width", *SIDES),
        height=job.whole("height", *SIDES),
        frame_rate=job.whole("frame_rate", *FRAME_RATES),
        seed=job.whole("seed", *SEEDS),
        label=Label(label.text("text", 64), label.number("seconds", 0.5, 60), label.number("ink_percent", 1, 20)),
        camera_control=Control(
            **{axis: camera.number(axis, -LIMIT, LIMIT, default=0.0) for axis in ("horizontal", "vertical", "zoom")}
        ),
        steps=job.whole("steps", *STEPS) if job.has("steps") else None,
        guidance_scale=job.number("guidance_scale", *GUIDANCE_SCALES) if job.has("guidance_scale") else None,
        contract_version=job.whole("contract_version", VERSION, VERSION),
    )
    for fields in (job, label, camera):
        fields.refuse_unknown()
    _check_size(read)
    return read


def _check_size(job: Job) -> None:
    for side in ("width", "height"):
        if getattr(job, side) % 2:
            raise JobRefused("FIELD_INVALID", side, "It must be even.")
    if job.width * job.height > MAX_PIXELS:
        raise JobRefused("FIELD_INVALID", "width", f"A frame has at most {MAX_PIXELS} pixels.")
    if not job.label.text.strip():
        raise JobRefused("FIELD_INVALID", "label.text", "There is no video without a label.")


class _Fields:
    """A JSON object read field by field, each with its type and range, remembering what was asked for."""

    def __init__(self, told: dict[str, Any], path: str) -> None:
        self._told, self._path = told, path
        self._known: set[str] = set()

    def has(self, name: str) -> bool:
        return self._get(name, None) is not None

    def text(self, name: str, longest: int, default: str | None = None) -> str:
        value = self._get(name, default)
        if not isinstance(value, str) or len(value) > longest:
            raise self._fault(name, f"It must be text of at most {longest} characters.")
        return value

    def whole(self, name: str, least: int, most: int) -> int:
        value = self._get(name, None)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._fault(name, f"It must be a whole number from {least} to {most}.")
        return value

    def number(self, name: str, least: float, most: float, default: float | None = None) -> float:
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._fault(name, f"It must be a number from {least} to {most}.")
        if not math.isfinite(value) or not least <= value <= most:
            raise self._fault(name, f"It must be a number from {least} to {most}.")
        return float(value)

    def inner(self, name: str, optional: bool = False) -> "_Fields":
        value = self._get(name, {} if optional else None)
        if value is None and optional:
            value = {}
        if not isinstance(value, dict):
            raise self._fault(name, "It must be an object.")
        return _Fields(value, f"{self._path}{name}.")

    def refuse_unknown(self) -> None:
        for name in self._told:
            if name not in self._known:
                raise self._fault(str(name)[:64], "The contract has no such field.")

    def _get(self, name: str, default: Any) -> Any:
        self._known.add(name)
        return self._told.get(name, default)

    def _fault(self, name: str, message: str) -> JobRefused:
        return JobRefused("FIELD_INVALID", f"{self._path}{name}", message)

"""Rules of a video: how an order is resolved, which states follow which, what may be tried again. Pure."""

import dataclasses
import datetime
import math
from collections.abc import Callable
from typing import Any

from services.generation import errors
from services.generation.models.domain import Model
from services.runtime.errors import FIELD_INVALID, FIELD_REQUIRED

OPEN = ("QUEUED", "RUNNING")
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
STATE_NAMES = {1: "QUEUED", 2: "RUNNING", 3: "SUCCEEDED", 4: "FAILED", 5: "CANCELLED"}
"""States as numbered in the contract."""
STAGES = ("PREPARING", "GENERATING", "ENCODING", "LABELING", "PUBLISHING")
RETRYABLE = frozenset({"GENERATION_FAILED", "LABEL_FAILED", "START_DEADLINE_PASSED"})
"""Reasons in `Video.error` after which the same order may succeed."""
DEFAULT_DURATION_SECONDS = 5
DEFAULT_RESOLUTION = "720p"
DEFAULT_ASPECT_RATIO = "16:9"
SEEDS = 2**32
START_WITHIN = datetime.timedelta(hours=1)
START_AT_MOST = datetime.timedelta(hours=24)
MAX_RUN_TIME = datetime.timedelta(hours=1)
"""All attempts of a video together; a hold that is open for longer after its start deadline raises an alarm."""


@dataclasses.dataclass(frozen=True)
class Image:
    """An uploaded picture as an order names it; measures in pixels after its own rotation."""

    id: str
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Every parameter as resolved. `cost` is the estimate of instance seconds."""

    model: str
    prompt: str
    negative_prompt: str
    image: str
    duration_seconds: int
    resolution: str
    aspect_ratio: str
    seed: int
    camera: dict[str, float] | None
    width: int
    height: int
    frame_rate: int
    cost: float


def resolve(request: Any, model: Model, image: Image | None, draw_seed: Callable[[], int]) -> Parameters:
    """Resolve the fields of a CreateVideoRequest. A field left out and its documented default come to the same.

    Raises FIELD_REQUIRED, FIELD_INVALID, PARAMETER_UNSUPPORTED, IMAGE_TOO_SMALL, IMAGE_TOO_LARGE or IMAGE_RATIO.
    """
    _check_inputs(request, model, image)
    duration = _one_of(
        model, "duration_seconds", request.duration_seconds or DEFAULT_DURATION_SECONDS, model.duration_seconds
    )
    resolution = _one_of(model, "resolution", request.resolution or DEFAULT_RESOLUTION, model.resolutions)
    ratio = request.aspect_ratio or (nearest_ratio(model.aspect_ratios, image) if image else DEFAULT_ASPECT_RATIO)
    ratio = _one_of(model, "aspect_ratio", ratio, model.aspect_ratios)
    width, height = model.size(resolution, ratio) or measures(resolution, ratio)
    camera = request.camera_control if request.HasField("camera_control") else None
    return Parameters(
        model=model.id,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        image=image.id if image else "",
        duration_seconds=duration,
        resolution=resolution,
        aspect_ratio=ratio,
        seed=request.seed if request.HasField("seed") else draw_seed(),
        camera=None if camera is None else {axis: getattr(camera, axis) for axis in ("horizontal", "vertical", "zoom")},
        width=width,
        height=height,
        frame_rate=model.frame_rate,
        cost=model.cost(resolution, duration),
    )


def _check_inputs(request: Any, model: Model, image: Image | None) -> None:
    if not image and not request.prompt.strip():
        raise FIELD_REQUIRED(field="prompt")
    if not image and not model.text_to_video:
        raise FIELD_REQUIRED(field="image")
    if image and not model.image_to_video:
        raise _unsupported(model, "image", "none")
    if len(request.prompt) > model.prompt_characters:
        raise FIELD_INVALID(field="prompt", limit=f"have at most {model.prompt_characters} characters")
    if request.negative_prompt and not model.negative_prompt:
        raise _unsupported(model, "negative_prompt", "none")
    if len(request.negative_prompt) > model.prompt_characters:
        raise FIELD_INVALID(field="negative_prompt", limit=f"have at most {model.prompt_characters} characters")
    if request.HasField("camera_control") and not model.camera_control:
        raise _unsupported(model, "camera_control", "none")
    if image:
        check_picture(image.width, image.height, model.image_side_pixels, model.image_pixels, model.image_ratio)


def check_picture(width: int, height: int, side: int, pixels: int, ratio: float) -> None:
    """Raise IMAGE_TOO_SMALL, IMAGE_TOO_LARGE or IMAGE_RATIO for a picture outside of the limits."""
    if width * height > pixels:
        raise errors.IMAGE_TOO_LARGE(limit=pixels, field="image")
    if min(width, height) < side:
        raise errors.IMAGE_TOO_SMALL(limit=side, field="image")
    if max(width, height) > ratio * min(width, height):
        raise errors.IMAGE_RATIO(allowed=f"1:{ratio:g} to {ratio:g}:1", field="image")


def nearest_ratio(ratios: tuple[str, ...], image: Image) -> str:
    """Return the aspect ratio that is nearest to the picture's own, by factor."""
    own = math.log(image.width / image.height)
    return min(ratios, key=lambda ratio: abs(math.log(_quotient(ratio)) - own))


def measures(resolution: str, ratio: str) -> tuple[int, int]:
    """Return (width, height): the short side is the resolution's number, the long side the nearest even one."""
    short, quotient = int(resolution.removesuffix("p")), _quotient(ratio)
    long = 2 * round(short * max(quotient, 1 / quotient) / 2)
    return (long, short) if quotient >= 1 else (short, long)


def start_deadline(wanted: datetime.datetime | None, now: datetime.datetime) -> datetime.datetime:
    """Return when a video that has not started is given up. Raises FIELD_INVALID for the past and beyond 24 hours."""
    if wanted is None:
        return now + START_WITHIN
    if wanted <= now:
        raise FIELD_INVALID(field="start_deadline", limit="be in the future")
    if wanted > now + START_AT_MOST:
        raise FIELD_INVALID(field="start_deadline", limit="be at most 24 hours ahead")
    return wanted


def outcome_of_cancel(state: str) -> str:
    """Return billing's outcome for a cancelled video by the state that it was in."""
    return "CANCELLED_RUNNING" if state == "RUNNING" else "CANCELLED_QUEUED"


def charge(quote_micros: int, percent: int) -> int:
    """Return what an outcome costs, rounded half up to a whole micro-unit, as billing does."""
    return (quote_micros * percent + 50) // 100


@dataclasses.dataclass(frozen=True)
class Place:
    """A place in the queue: how many videos are before it, and after how many seconds it is likely to start."""

    position: int
    seconds: float


def place(position: int, cost_before: float, running: int, cost_running: float, slots: int) -> Place:
    """Estimate a place: a free instance takes the next at once, else all that is before it is shared by all instances.

    Without an instance the estimate is that of one.
    """
    if position < slots - running:
        return Place(position, 0.0)
    return Place(position, (cost_before + cost_running) / max(slots, 1))


def _quotient(ratio: str) -> float:
    width, height = ratio.split(":")
    return int(width) / int(height)


def _one_of(model: Model, field: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise _unsupported(model, field, ", ".join(str(option) for option in allowed))
    return value


def _unsupported(model: Model, field: str, allowed: str) -> Exception:
    return errors.PARAMETER_UNSUPPORTED(model=model.id, field=field, allowed=allowed)

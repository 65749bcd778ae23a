"""What a model is and can do, and when it counts as running. Pure rules."""

import dataclasses
import datetime

REPORT_SECONDS = 5
"""A worker reports this often."""
STALE = datetime.timedelta(seconds=3 * REPORT_SECONDS)
"""A worker that has not reported for so long is not running."""
DOWN_AFTER = datetime.timedelta(seconds=60)


@dataclasses.dataclass(frozen=True)
class Model:
    """One entry of the catalog. `seconds` are instance seconds for one second of video, by resolution; `sizes` are
    width and height by resolution and aspect ratio, where they are not the usual ones."""

    id: str
    display_name: str
    kind: str
    description: str
    license: str
    text_to_video: bool
    image_to_video: bool
    camera_control: bool
    negative_prompt: bool
    duration_seconds: tuple[int, ...]
    resolutions: tuple[str, ...]
    aspect_ratios: tuple[str, ...]
    frame_rate: int
    prompt_characters: int
    image_side_pixels: int
    image_pixels: int
    image_size_bytes: int
    image_ratio: float
    seconds: dict[str, float]
    sizes: dict[str, dict[str, list[int]]]

    def cost(self, resolution: str, duration_seconds: int) -> float:
        """Estimate the instance seconds of one video."""
        return self.seconds[resolution] * duration_seconds

    def size(self, resolution: str, aspect_ratio: str) -> tuple[int, int] | None:
        """Return the width and height that the model makes, None for the usual ones of the resolution."""
        own = self.sizes.get(resolution, {}).get(aspect_ratio)
        return (own[0], own[1]) if own else None


@dataclasses.dataclass(frozen=True)
class Capacity:
    """State (READY, WARMING, ZERO or DOWN) and how many instances are loaded; `proven`: it was loaded once."""

    state: str
    slots: int
    proven: bool


def capacity(
    now: datetime.datetime, last_ready: datetime.datetime | None, reports: list[tuple[int, datetime.datetime]]
) -> Capacity:
    """Decide the capacity from when a model was last ready and its workers' reports (slots ready, when).

    Instances that are starting count as WARMING however long they take: a queued task has its start deadline.
    """
    live = [slots for slots, when in reports if now - when <= STALE]
    if slots := sum(live):
        return Capacity("READY", slots, True)
    if live:
        return Capacity("WARMING", 0, last_ready is not None)
    if last_ready is not None and now - last_ready < DOWN_AFTER:
        return Capacity("ZERO", 0, True)
    return Capacity("DOWN", 0, last_ready is not None)

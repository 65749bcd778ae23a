"""Camera moves over a still picture: from -10 to 10 each, or from words of the prompt, to a path of boxes.

Positive means: right, up, in. A path is eased at both ends, never leaves the picture and keeps the output's ratio.
"""

import math
from dataclasses import dataclass, fields

import numpy as np

LIMIT = 10
USUAL, SLOW, FAST = 5, 3, 8
TRAVEL = 0.025
GROWTH = 0.05

MOVES = (
    ("zoom", 1, ("zoom in", "push in", "dolly in", "closer", "推近", "推进", "拉近", "放大", "镜头前推")),
    ("zoom", -1, ("zoom out", "pull back", "pull out", "dolly out", "拉远", "拉开", "缩小", "镜头后拉")),
    ("horizontal", 1, ("pan right", "move right", "slide right", "向右", "右移", "右摇")),
    ("horizontal", -1, ("pan left", "move left", "slide left", "向左", "左移", "左摇")),
    ("vertical", 1, ("tilt up", "pan up", "move up", "crane up", "向上", "上移", "上摇", "升镜头")),
    ("vertical", -1, ("tilt down", "pan down", "move down", "crane down", "向下", "下移", "下摇", "降镜头")),
)
SLOWLY = ("slow", "gentle", "gently", "缓", "慢")
QUICKLY = ("fast", "quick", "rapid", "快", "迅速")


@dataclass(frozen=True)
class Control:
    """How far the camera goes over the whole clip: right, up and in are positive; 10 is the farthest."""

    horizontal: float = 0.0
    vertical: float = 0.0
    zoom: float = 0.0

    @property
    def still(self) -> bool:
        """Whether nothing moves."""
        return not any(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True)
class Box:
    """A part of the picture in pixels, ends included between pixels: fractions are meant."""

    left: float
    top: float
    right: float
    bottom: float


def chosen(control: Control, prompt: str, seed: int) -> Control:
    """What the caller asked for; else what the prompt names; else a gentle move that the seed picks."""
    if not control.still:
        return control
    named = of_prompt(prompt)
    if not named.still:
        return named
    dice = np.random.default_rng(seed)
    across, upward, inward = (-2.0, -1.0, 1.0, 2.0), (-1.0, 0.0, 1.0), (3.0, 4.0, -3.0)
    return Control(*(float(dice.choice(choices)) for choices in (across, upward, inward)))


def of_prompt(prompt: str) -> Control:
    """The moves that the prompt names in English or Chinese; "slow" and "fast" change how far they go."""
    words = " ".join(prompt.lower().split())
    amount = SLOW if _any(SLOWLY, words) else FAST if _any(QUICKLY, words) else USUAL
    found = {"horizontal": 0, "vertical": 0, "zoom": 0}
    for axis, sign, names in MOVES:
        if _any(names, words):
            found[axis] += sign * amount
    return Control(**{axis: float(value) for axis, value in found.items()})


def eased(share: float) -> float:
    """0 to 1 for 0 to 1, slow at both ends: half a cosine."""
    return 0.5 - 0.5 * math.cos(math.pi * share)


def path(control: Control, source: tuple[int, int], output: tuple[int, int], frames: int) -> list[Box]:
    """One box per frame over a picture of `source` width and height, in the ratio of `output`, inside the picture."""
    width = min(source[0], source[1] * output[0] / output[1])
    height = width * output[1] / output[0]
    travel = TRAVEL * control.horizontal, -TRAVEL * control.vertical
    base = max(1.0, 1 / (source[0] / width - abs(travel[0])), 1 / (source[1] / height - abs(travel[1])))
    nearer = 1 + GROWTH * abs(control.zoom)
    first, last = (base, base * nearer) if control.zoom >= 0 else (base * nearer, base)
    boxes = []
    for frame in range(frames):
        share = eased(frame / max(1, frames - 1))
        zoom = first * (last / first) ** share
        middle_x = source[0] / 2 + travel[0] * (share - 0.5) * width
        middle_y = source[1] / 2 + travel[1] * (share - 0.5) * height
        boxes.append(_inside(middle_x, middle_y, width / zoom, height / zoom, source))
    return boxes


def _inside(x: float, y: float, width: float, height: float, source: tuple[int, int]) -> Box:
    """The box around a middle, moved by the rounding errors that would let it look out."""
    left = min(max(x - width / 2, 0.0), source[0] - width)
    top = min(max(y - height / 2, 0.0), source[1] - height)
    return Box(max(left, 0.0), max(top, 0.0), min(left + width, source[0]), min(top + height, source[1]))


def _any(names: tuple[str, ...], words: str) -> bool:
    return any(name in words for name in names)

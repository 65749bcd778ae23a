"""Reads the labels of a finished file back from its bytes, and refuses a file that does not bear them all."""

from dataclasses import dataclass
from pathlib import Path

import av

from services.generation.film.label import Label, LabelUnfit
from services.generation.labels import aigc, boxes
from services.generation.labels.aigc import Aigc, AigcInvalid
from services.generation.labels.inspection import Seen, coded
from services.generation.labels.seen import Look

MAX_PIXELS = 4096 * 4096
CODEC = "h264"


class LabelMissing(Exception):
    """The file must not be published; `what` says why: visible, aigc, or a field of the picture."""

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


@dataclass(frozen=True)
class LabelReport:
    """What a file says when it is read: labels by decoding and by walking its boxes, the rest from its headers.

    `visible_seconds` counts from the first frame without a gap and is looked for no longer than asked;
    `visible_ink_percent` is the lowest letter's ink over the short side, in the worst of those frames.
    """

    visible: bool
    visible_ink_percent: float
    visible_seconds: float
    aigc: dict[str, str] | None
    aigc_count: int
    width: int
    height: int
    frame_rate: float
    duration_seconds: float
    codec: str
    size_bytes: int


@dataclass(frozen=True)
class Expected:
    """What the file must be: its labels, and the picture that was paid for."""

    label: Label
    aigc: Aigc
    width: int
    height: int
    frame_rate: float
    duration_seconds: float


def read(path: Path, label: Label, seen: Seen | None = None) -> LabelReport:
    """Reads the file at `path`, looking for `label` in its first frames. Raises LabelMissing when it is no video.

    `seen` is what an Inspection saw of the model's film: it stands for the looking when this file has the same coded
    pictures. Blocking, about 0.1 s for 720p, with `seen` some milliseconds: call it in a thread.
    """
    try:
        texts = boxes.labels(path)
        if seen is not None and seen.coded != _coded(path):
            seen = None
        with av.open(str(path), format="mp4") as file:
            return _report(file, texts, label, path.stat().st_size, seen)
    except (av.FFmpegError, boxes.BoxesBroken, OSError, ValueError, IndexError, ZeroDivisionError) as fault:
        raise LabelMissing("file", "The file cannot be read back as a video.") from fault


def verify(report: LabelReport, expected: Expected) -> None:
    """Compares what was read with what must be there. Raises LabelMissing at the first difference."""
    if not report.visible:
        seen = f"{report.visible_seconds:.2f} s at {report.visible_ink_percent:.2f} percent"
        raise LabelMissing("visible", f"The visible label was not found as it must be: {seen}.")
    if report.aigc_count != 1:
        raise LabelMissing("aigc", f"The file bears {report.aigc_count} AIGC labels, not one.")
    if report.aigc is None or aigc.Aigc(*report.aigc.values()) != expected.aigc:
        raise LabelMissing("aigc", "The AIGC label is not the one that was written.")
    if (report.codec, report.width, report.height) != (CODEC, expected.width, expected.height):
        raise LabelMissing("size", f"The file is {report.codec} of {report.width} by {report.height}.")
    if abs(report.frame_rate - expected.frame_rate) > 0.01:
        raise LabelMissing("frame_rate", f"The file has {report.frame_rate} frames a second.")
    if abs(report.duration_seconds - expected.duration_seconds) > 1 / expected.frame_rate + 0.001:
        raise LabelMissing("duration", f"The file lasts {report.duration_seconds} s.")


def _coded(path: Path) -> str:
    with av.open(str(path), format="mp4") as file:
        return coded(file, file.streams.video[0])


def _report(
    file: av.container.InputContainer, texts: list[str], label: Label, size: int, seen: Seen | None
) -> LabelReport:
    stream = file.streams.video[0]
    context = stream.codec_context
    rate = float(stream.average_rate or 0)
    if context.width * context.height > MAX_PIXELS or not stream.frames or rate <= 0:
        raise ValueError("no picture, or too large a one")
    needed = label.frames(rate, stream.frames)
    frames, ink = (seen.frames, seen.ink) if seen else _visible(file, stream, label, needed)
    ink_percent = 100 * ink / min(context.width, context.height)
    return LabelReport(
        visible=frames >= needed and ink_percent >= label.ink_percent,
        visible_ink_percent=round(ink_percent, 3),
        visible_seconds=round(min(frames, needed) / rate, 3),
        aigc=_parsed(texts),
        aigc_count=len(texts),
        width=context.width,
        height=context.height,
        frame_rate=round(rate, 3),
        duration_seconds=round(float((stream.duration or 0) * (stream.time_base or 0)), 3),
        codec=context.name,
        size_bytes=size,
    )


def _visible(file: av.container.InputContainer, stream: av.VideoStream, label: Label, wanted: int) -> tuple[int, int]:
    """How many frames from the first bear the label, and its least ink in pixels."""
    try:
        look = Look(label, (stream.width, stream.height), wanted)
    except LabelUnfit:
        return 0, 0
    stream.thread_type = "AUTO"
    for frame in file.decode(stream):
        look.at(frame)
        if not look.on:
            break
    return look.frames, look.ink


def _parsed(texts: list[str]) -> dict[str, str] | None:
    """The one valid label as the standard's fields; None when there is none, or more, or a wrong one."""
    if len(texts) != 1:
        return None
    try:
        label = aigc.of_text(texts[0])
    except AigcInvalid:
        return None
    return {name: getattr(label, field) for name, field in aigc.FIELDS.items()}

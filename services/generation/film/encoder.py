"""H.264 in fragmented MP4, made piece by piece while the frames are made."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import av
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from services.generation.film.label import Label, plate
from services.generation.film.planes import Planes, to_frame

# A quarter of a second each: whoever looks at the film while it comes is never far behind.
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "250000"}
X264 = {"preset": "veryfast", "crf": "20", "profile": "high", "bf": "0", "x264-params": "scenecut=0"}
FADE_SECONDS = 0.25


@dataclass(frozen=True)
class Step:
    """One frame done: how many are, of how many, and the bytes of the file that became ready with it (maybe none)."""

    done: int
    total: int
    piece: bytes


class Encoder:
    """Takes frames in order, gives the bytes of one fragmented MP4. Width and height are even."""

    def __init__(self, width: int, height: int, frame_rate: int, threads: int = 2) -> None:
        self._sink = _Sink()
        self._file = av.open(self._sink, "w", format="mp4", options=FRAGMENTS)
        self._stream = self._file.add_stream("libx264", rate=frame_rate, options=X264)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.thread_count = threads
        context = self._stream.codec_context
        context.gop_size = 2 * frame_rate
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        self._next = 0

    def add(self, planes: Planes) -> bytes:
        """Encodes one frame; returns what can be sent by now."""
        frame = to_frame(planes)
        frame.pts, self._next = self._next, self._next + 1
        self._file.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        """Encodes what was held back and closes the file; returns the last bytes."""
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._sink.take()


def film(frames: Iterable[Planes], total: int, frame_rate: int, label: Label) -> Iterator[Step]:
    """Encodes `total` frames with the label burned into the first ones, as they come; the last step ends the file.

    The frames' own planes are drawn on. Closing the iterator early simply drops what is unfinished.
    """
    labeled, encoder = label.frames(frame_rate, total), None
    for index, planes in enumerate(frames):
        encoder = encoder or Encoder(*planes.size, frame_rate)
        strength = 1.0 if index < labeled else 1 - (index - labeled + 1) / (FADE_SECONDS * frame_rate)
        if strength > 0:
            plate(label, *planes.size).burn(planes, strength)
        piece = encoder.add(planes)
        if index + 1 == total:
            yield Step(total, total, piece + encoder.finish())
            return
        yield Step(index + 1, total, piece)
    raise ValueError(f"Fewer than {total} frames came.")


class _Sink:
    """A file that only grows and cannot seek; what was written is taken out piece by piece."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keeps a copy of `data`."""
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """All that was written since the last call."""
        taken, self._parts = b"".join(self._parts), []
        return taken

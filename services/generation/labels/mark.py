"""Turns the model's fragmented MP4 into the file that is published: faststart, with exactly one `AIGC` label."""

from pathlib import Path

import av

from services.generation.labels import aigc
from services.generation.labels.aigc import Aigc

# Without use_metadata_tags the muxer drops the label and says nothing.
WRITING = {"movflags": "use_metadata_tags+faststart"}


class FilmUnreadable(Exception):
    """The fragmented file is not one whole H.264 video."""


def mark(fragmented: Path, published: Path, label: Aigc) -> None:
    """Copies the video stream of `fragmented` into `published`, which must not exist; no other metadata is kept.

    Both belong in one private temporary folder. Blocking, some milliseconds: call it in a thread. Raises
    FilmUnreadable; nothing is left at `published` then.
    """
    with published.open("xb"):
        pass
    try:
        with av.open(str(fragmented), format="mp4") as source:
            _copy(source, published, label)
    except (av.FFmpegError, ValueError, IndexError) as fault:
        published.unlink(missing_ok=True)
        raise FilmUnreadable("The model's file is not one whole H.264 video.") from fault


def _copy(source: av.container.InputContainer, published: Path, label: Aigc) -> None:
    if len(source.streams) != 1 or source.streams.video[0].codec_context.name != "h264":
        raise ValueError("not one H.264 stream")
    stream, packets = source.streams.video[0], 0
    with av.open(str(published), "w", format="mp4", options=WRITING) as target:
        copied = target.add_stream_from_template(stream)
        copied.metadata.clear()
        target.metadata[aigc.KEY] = label.to_text()
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            if packet.is_corrupt:
                raise ValueError("it breaks off inside a picture")
            packet.stream = copied
            target.mux(packet)
            packets += 1
    if not packets:
        raise ValueError("no picture")

"""Looks for the visible label while a film comes from its model, so that its publication need not wait for it.

What was seen holds for a finished file exactly when both have the same coded pictures, which `coded` tells.
"""

import hashlib
import queue
import threading
from dataclasses import dataclass

import av

from services.generation.film.label import Label, LabelUnfit
from services.generation.labels.seen import Look

FORMAT = "mp4"
_END = b""


@dataclass(frozen=True)
class Seen:
    """`frames` frames from the first bear the label, its least ink `ink` pixels high; `coded` names the pictures."""

    frames: int
    ink: int
    coded: str


class Inspection:
    """Decodes the pieces of one fragmented MP4 in a thread of its own, which the context manager starts and ends."""

    def __init__(self, label: Label, frame_rate: float, total: int) -> None:
        self._label, self._wanted = label, label.frames(frame_rate, total)
        self._pipe = _Pipe()
        self._seen: Seen | None = None
        self._thread = threading.Thread(target=self._run, name="inspection", daemon=True)

    def __enter__(self) -> "Inspection":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.end()

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the file; answers at once."""
        if piece:
            self._pipe.put(piece)

    def seen(self) -> Seen | None:
        """What was seen in all that was fed; None when it could not be read. Blocks until the last frame is decoded."""
        self._pipe.end()
        self._thread.join()
        return self._seen

    def _run(self) -> None:
        try:
            with av.open(self._pipe, "r", format=FORMAT) as file:
                self._seen = self._inspect(file, file.streams.video[0])
        except (av.FFmpegError, LabelUnfit, ValueError, IndexError):
            self._seen = None  # whoever needs to know then decodes the finished file, and is told what is wrong

    def _inspect(self, file: av.container.InputContainer, stream: av.VideoStream) -> Seen:
        look = Look(self._label, (stream.width, stream.height), self._wanted)
        pictures = hashlib.sha256(stream.codec_context.extradata or b"")
        for packet in file.demux(stream):
            _add(pictures, packet)
            for frame in packet.decode() if look.on else ():
                look.at(frame)
        return Seen(look.frames, look.ink, pictures.hexdigest())


def coded(file: av.container.InputContainer, stream: av.VideoStream) -> str:
    """Return the SHA-256 over the coded pictures of an open film, in order, and what their decoder starts from.

    Films with the same one show the same frames. Raises ValueError for one whose decoder is started anew on the way.
    """
    pictures = hashlib.sha256(stream.codec_context.extradata or b"")
    for packet in file.demux(stream):
        _add(pictures, packet)
    return pictures.hexdigest()


def _add(pictures: "hashlib._Hash", packet: av.Packet) -> None:
    if packet.has_sidedata("new_extradata"):
        raise ValueError("its decoder is started anew on the way")
    pictures.update(packet.size.to_bytes(8, "big"))
    if packet.size:
        pictures.update(packet)


class _Pipe:
    """Bytes from one thread to another, as a file that cannot seek."""

    def __init__(self) -> None:
        self._pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._rest = b""
        self._ended = False

    def put(self, piece: bytes) -> None:
        self._pieces.put(piece)

    def end(self) -> None:
        self._pieces.put(_END)

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, and none for ever after the end."""
        if not self._rest and not self._ended:
            self._rest = self._pieces.get()
            self._ended = self._rest == _END
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

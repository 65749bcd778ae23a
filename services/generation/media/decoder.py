"""Decodes one uploaded picture, in a process of its own: `python -I decoder.py INPUT OUTPUT LIMITS`.

Run by `media.pictures` with an empty environment. Before it looks at a single byte it gives up memory, time, file
sizes, and, by seccomp, the network, other programs and other processes. LIMITS is JSON: memory_bytes, cpu_seconds,
side_pixels, pixels, ratio. It prints one JSON object: content_type, width and height, or `refused` with a reason; and
writes OUTPUT, a JPEG without metadata, upright, opaque, at most 3840 pixels on a side. It imports nothing of ours.
"""

import ctypes
import json
import resource
import struct
import sys
import warnings

LONGEST_SIDE = 3840
OUTPUT_BYTES = 64 * 1024 * 1024
GROUND = (24, 24, 28, 255)
TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
X86_64 = 0xC000003E
# socket, connect, accept, sendto, sendmsg, bind, socketpair, clone, fork, vfork, execve, kill, ptrace, accept4,
# execveat, io_uring_setup
FORBIDDEN = (41, 42, 43, 44, 46, 49, 53, 56, 57, 58, 59, 62, 101, 288, 322, 425)
CLONE3 = 435
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000


def confine(memory_bytes: int, cpu_seconds: int) -> None:
    """Give up what a picture does not need. Raises OSError when the system does not let us."""
    bounds = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: OUTPUT_BYTES,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for kind, bound in bounds.items():
        resource.setrlimit(kind, (bound, bound))
    _forbid_calls()


def _forbid_calls() -> None:
    """Install a seccomp filter: the forbidden calls answer EPERM, another architecture's calls kill the process."""
    load, equal, answer = 0x20, 0x15, 0x06
    calls = (*FORBIDDEN, CLONE3)
    program = [(load, 0, 0, 4), (equal, 1, 0, X86_64), (answer, 0, 0, KILL), (load, 0, 0, 0)]
    program += [(equal, len(calls) - index, 0, call) for index, call in enumerate(calls)]
    program += [(answer, 0, 0, ALLOW), (answer, 0, 0, REFUSE)]
    raw = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(raw, len(raw))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, by_filter = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(seccomp, by_filter, ctypes.byref(head), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


class Refused(Exception):
    """The picture is not taken; the argument is the reason."""


def examine(source: str, target: str, limits: dict[str, float]) -> dict[str, object]:
    """Check the picture by its header, decode it whole, write the copy; answers what it is. Raises Refused."""
    from PIL import Image, ImageOps  # noqa: PLC0415  after confinement: a decoder's start-up is code too

    Image.MAX_IMAGE_PIXELS = None  # our own limit is checked first
    warnings.simplefilter("error")
    image = Image.open(source, formats=tuple(TYPES))
    content_type = TYPES[str(image.format)]
    turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    width, height = image.size[::-1] if turned else image.size
    check(width, height, limits)
    image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
    image.load()
    upright = ImageOps.exif_transpose(image)
    copy = opaque(upright)
    copy.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    copy.info.clear()
    copy.save(target, "JPEG", quality=95, subsampling=0)
    return {"content_type": content_type, "width": width, "height": height}


def check(width: int, height: int, limits: dict[str, float]) -> None:
    """Raise Refused for measures outside of the limits, before anything is decoded."""
    if width * height > limits["pixels"]:
        raise Refused("IMAGE_TOO_LARGE")
    if min(width, height) < limits["side_pixels"]:
        raise Refused("IMAGE_TOO_SMALL")
    if max(width, height) > limits["ratio"] * min(width, height):
        raise Refused("IMAGE_RATIO")


def opaque(image):  # type: ignore[no-untyped-def]
    """As 8-bit RGB; what is transparent stands on a dark ground."""
    from PIL import Image  # noqa: PLC0415

    if image.mode.startswith("I"):
        return image.convert("I").point(lambda level: level * (1 / 257)).convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        clear = image.convert("RGBA")
        ground = Image.new("RGBA", clear.size, GROUND)
        ground.alpha_composite(clear)
        return ground.convert("RGB")
    return image.convert("RGB")


def main(source: str, target: str, limits: dict[str, float]) -> dict[str, object]:
    """Confine, then examine. Whatever the decoders stumble over means that the picture cannot be read."""
    confine(int(limits["memory_bytes"]), int(limits["cpu_seconds"]))
    try:
        return examine(source, target, limits)
    except Refused as refused:
        return {"refused": str(refused)}
    except MemoryError:
        return {"refused": "IMAGE_TOO_LARGE"}
    except Exception:  # noqa: BLE001  Pillow's decoders have no common class of fault
        return {"refused": "IMAGE_UNREADABLE"}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))))

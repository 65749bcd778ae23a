"""Decodes one uploaded picture, in a process of its own: `python -I decoder.py INPUT OUTPUT LIMITS`.

Run by `media.pictures` with an empty environment. Before it looks at a single byte it gives up memory, time, file
sizes, and, by seccomp, the network, other programs, other processes, and writing to any file but OUTPUT. LIMITS is
JSON: memory_bytes, cpu_seconds, side_pixels, pixels, ratio. It prints one JSON object: content_type, width and height,
or `refused` with a reason; and writes OUTPUT, a JPEG without metadata, upright, opaque, at most 3840 pixels on a side.
It imports nothing of ours.
"""

import ctypes
import json
import resource
import struct
import sys
import warnings
from typing import BinaryIO

LONGEST_SIDE = 3840
OUTPUT_BYTES = 64 * 1024 * 1024
GROUND = (24, 24, 28, 255)
TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "WEBP": "image/webp"}
FORMATS = ("PNG", "JPEG", "WEBP")
"""What is tried. MPO is a JPEG that has further pictures behind the first, as many telephones write them."""
X86_64 = 0xC000003E
X32 = 0x40000000
"""Another set of numbers for the same calls, on the same architecture."""
# Each with its number on x86_64: the network, processes, other processes' memory, the kernel, and files by their names.
_CALLS = """
socket 41 connect 42 accept 43 sendto 44 sendmsg 46 bind 49 listen 50 socketpair 53 accept4 288
clone 56 fork 57 vfork 58 execve 59 execveat 322 clone3 435 setrlimit 160 prlimit64 302
kill 62 tkill 200 tgkill 234 rt_sigqueueinfo 129 rt_tgsigqueueinfo 297
pidfd_send_signal 424 pidfd_open 434 pidfd_getfd 438 ptrace 101 process_vm_readv 310 process_vm_writev 311 kcmp 312
io_uring_setup 425 io_uring_enter 426 bpf 321 userfaultfd 323 perf_event_open 298 add_key 248 request_key 249 keyctl 250
reboot 169 init_module 175 finit_module 313 kexec_load 246 mount 165 umount2 166 chroot 161 pivot_root 155 unshare 272
setns 308 open_tree 428 move_mount 429 fsopen 430 mount_setattr 442
truncate 76 rename 82 mkdir 83 rmdir 84 creat 85 link 86 unlink 87 symlink 88 chmod 90 fchmod 91 chown 92 fchown 93
lchown 94 mknod 133 setxattr 188 lsetxattr 189 fsetxattr 190 removexattr 197 fremovexattr 199 mkdirat 258 mknodat 259
fchownat 260 unlinkat 263 renameat 264 linkat 265 symlinkat 266 fchmodat 268 utimensat 280 open_by_handle_at 304
renameat2 316 openat2 437 fchmodat2 452
"""
FORBIDDEN = tuple(int(word) for word in _CALLS.split() if word.isdigit())
OPEN, OPENAT = 2, 257
WRITING = 0x3 | 0x40 | 0x200 | 0x400000
"""Flags of an open that writes or makes something: O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, and O_TMPFILE's own."""
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
    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    second, third = 24, 32  # where the low halves of these arguments stand
    program = [(load, 0, 0, 4), (equal, 1, 0, X86_64), (answer, 0, 0, KILL)]
    program += [(load, 0, 0, 0), (at_least, 0, 1, X32), (answer, 0, 0, KILL)]
    for call in FORBIDDEN:
        program += [(equal, 0, 1, call), (answer, 0, 0, REFUSE)]
    for call, flags in ((OPEN, second), (OPENAT, third)):
        program += [(equal, 0, 4, call), (load, 0, 0, flags), (any_bit, 0, 1, WRITING), (answer, 0, 0, REFUSE)]
        program += [(answer, 0, 0, ALLOW)]
    program += [(answer, 0, 0, ALLOW)]
    raw = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(raw, len(raw))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, by_filter = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(seccomp, by_filter, ctypes.byref(head), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


class Refused(Exception):
    """The picture is not taken; the argument is the reason."""


def examine(source: str | BinaryIO, target: BinaryIO, limits: dict[str, float]) -> dict[str, object]:
    """Check the picture by its header, decode it whole, write the copy; answers what it is. Raises Refused."""
    from PIL import Image, ImageOps  # noqa: PLC0415  after confinement: a decoder's start-up is code too

    Image.MAX_IMAGE_PIXELS = None  # our own limit is checked first
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ResourceWarning)  # the process ends at once
    image = Image.open(source, formats=FORMATS)
    content_type = TYPES[str(image.format)]
    check(*image.size, limits)  # before the orientation is read: a PNG without one would be decoded for it
    turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    width, height = image.size[::-1] if turned else image.size
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
    with open(target, "xb") as copy:  # the only file that may be written
        confine(int(limits["memory_bytes"]), int(limits["cpu_seconds"]))
        return _told(source, copy, limits)


def _told(source: str, copy: BinaryIO, limits: dict[str, float]) -> dict[str, object]:
    try:
        found = examine(source, copy, limits)
        copy.flush()
        return found
    except Refused as refused:
        return {"refused": str(refused)}
    except MemoryError:
        return {"refused": "IMAGE_TOO_LARGE"}
    except Exception:  # noqa: BLE001  Pillow's decoders have no common class of fault
        return {"refused": "IMAGE_UNREADABLE"}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))))

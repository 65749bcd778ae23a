"""What the process that decodes a stranger's picture cannot do."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from services.generation.media import decoder

FOLDER = Path(decoder.__file__).parent
CONFINE = "import sys; sys.path.insert(0, sys.argv[1]); import decoder; decoder.confine({memory}, {cpu}); "
FORBIDDEN = {
    "a socket": "import socket; socket.socket()",
    "a local socket": "import socket; socket.socketpair()",
    "another program": "import os; os.execv('/bin/true', ['true'])",
    "a child": "import os; os.fork()",
    "a thread": "import _thread; _thread.start_new_thread(print, ())",
    "a signal to others": "import os; os.kill(1, 0)",
    "a signal to a thread of others": "import ctypes; assert not ctypes.CDLL(None).syscall(200, 1, 0)",
    "the memory of others": "import ctypes; assert not ctypes.CDLL(None).syscall(310, 1, 0, 0, 0, 0, 0)",
    "a handle of a process": "import os; os.pidfd_open(os.getppid())",
    "the other numbers of the same calls": "import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 39)",
    "a new file": "open('{folder}/new', 'wb')",
    "a change of a file": "open('{folder}/old', 'r+b')",
    "an end of a file": "import os; os.truncate('{folder}/old', 0)",
    "no file": "import os; os.unlink('{folder}/old')",
    "another name": "import os; os.rename('{folder}/old', '{folder}/new')",
    "a link": "import os; os.symlink('/', '{folder}/new')",
    "a mode": "import os; os.chmod('{folder}/old', 0o777)",
}


def confined(code, memory=2**30, cpu=5):
    command = [sys.executable, "-I", "-c", CONFINE.format(memory=memory, cpu=cpu) + code, str(FOLDER)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env={})


def test_work_on_bytes_is_allowed():
    assert confined("print(len(bytes(1000)))").stdout == "1000\n"


@pytest.mark.parametrize("code", FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_a_picture_does_not_need_is_forbidden(code, tmp_path):
    (tmp_path / "old").write_bytes(b"kept")
    done = confined(code.format(folder=tmp_path))
    assert done.returncode != 0
    refusals = ("not permitted", "start new thread", "AssertionError")
    assert done.returncode < 0 or any(refusal in done.stderr for refusal in refusals)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("old", b"kept")]


def test_reading_is_allowed_and_the_copy_does_not_become_large(tmp_path):
    copy = tmp_path / "copy"
    before = f"copy = open({str(copy)!r}, 'wb'); "
    code = "print(len(open('/proc/self/status').read()) > 0); copy.truncate(65 * 2**20)"
    command = [sys.executable, "-I", "-c", before + CONFINE.format(memory=2**30, cpu=5) + code, str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env={})
    assert done.stdout == "True\n"
    assert "too large" in done.stderr
    assert copy.stat().st_size == 0


def test_a_picture_is_measured_before_it_is_decoded(tmp_path, monkeypatch):
    """A PNG without an orientation would be decoded to look for one."""
    source = tmp_path / "wide.png"
    Image.new("L", (4000, 400)).save(source)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # examine sets it
    with source.open("rb") as file, pytest.raises(decoder.Refused, match="IMAGE_RATIO"):
        decoder.examine(file, io.BytesIO(), {"pixels": 50_000_000, "side_pixels": 300, "ratio": 4})


def test_a_jpeg_with_further_pictures_is_a_jpeg(tmp_path):
    source, copy = tmp_path / "phone.jpg", tmp_path / "copy.jpg"
    first, second = Image.new("RGB", (640, 480), 90), Image.new("RGB", (320, 240), 20)
    first.save(source, "MPO", save_all=True, append_images=[second])
    limits = {"pixels": 10**7, "side_pixels": 300, "ratio": 4, "memory_bytes": 2**30, "cpu_seconds": 5}
    command = [sys.executable, "-I", decoder.__file__, str(source), str(copy), json.dumps(limits)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env={})
    assert done.stderr == ""
    assert json.loads(done.stdout) == {"content_type": "image/jpeg", "width": 640, "height": 480}
    assert Image.open(copy).size == (640, 480)


def test_memory_and_time_end():
    assert "MemoryError" in confined("bytes(400 * 2**20)", memory=300 * 2**20).stderr
    assert confined("any(False for _ in iter(int, 1))", cpu=1).returncode < 0


def test_it_imports_nothing_of_ours():
    assert "services" not in Path(decoder.__file__).read_text()


@pytest.mark.parametrize(
    ("size", "reason"),
    [((299, 300), "IMAGE_TOO_SMALL"), ((300, 1201), "IMAGE_RATIO"), ((8000, 6251), "IMAGE_TOO_LARGE")],
)
def test_measures_are_checked_before_anything_is_decoded(size, reason):
    with pytest.raises(decoder.Refused, match=reason):
        decoder.check(*size, {"pixels": 50_000_000, "side_pixels": 300, "ratio": 4})

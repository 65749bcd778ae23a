"""What the process that decodes a stranger's picture cannot do."""

import subprocess
import sys
from pathlib import Path

import pytest

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
    "a large file": "open('/tmp/filmgate-decoder-test', 'wb').truncate(65 * 2**20)",
}


def confined(code, memory=2**30, cpu=5):
    command = [sys.executable, "-I", "-c", CONFINE.format(memory=memory, cpu=cpu) + code, str(FOLDER)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env={})


def test_work_on_bytes_is_allowed():
    assert confined("print(len(bytes(1000)))").stdout == "1000\n"


@pytest.mark.parametrize("code", FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_a_picture_does_not_need_is_forbidden(code):
    done = confined(code)
    assert done.returncode != 0
    assert "print" not in done.stdout


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

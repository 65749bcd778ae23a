"""Folders for content on its way: private, and gone with the work or, when that was killed, with the next start."""

import os
import stat
import subprocess
import sys
import tempfile

import pytest

from services.generation.files import scratch


def test_a_folder_is_private_and_gone_afterwards():
    with scratch.folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "film.mp4").write_bytes(b"x")
    assert not folder.exists()


KILLED = """
import os, signal
from services.generation.files import scratch
with scratch.folder() as folder:
    (folder / "film.mp4").write_bytes(b"x")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


BETWEEN = """
import fcntl, os, sys
from services.generation.files import scratch
seen = []
def between(event, arguments):
    # Audit events come just before what they name: another process would be as quick.
    if event == sys.argv[1] and not seen:
        seen.append(event)
        meanwhile(*arguments)
sys.addaudithook(between)
"""
SWEPT_BEFORE_ITS_LOCK = """
def meanwhile(*_):
    print(scratch.sweep())
with scratch.folder() as folder:
    (folder / "film.mp4").write_bytes(b"x")
    print(scratch.sweep())
"""
LOCKED_BEFORE_ITS_END = """
import tempfile
left = tempfile.mkdtemp(prefix=scratch.PREFIX)
def meanwhile(path, *_):
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        print("free")
    except BlockingIOError:
        print("held")
print(scratch.sweep())
"""


@pytest.mark.parametrize(
    ("event", "code", "printed"),
    [("fcntl.flock", SWEPT_BEFORE_ITS_LOCK, "1\n0\n"), ("shutil.rmtree", LOCKED_BEFORE_ITS_END, "held\n1\n")],
    ids=["a folder is swept before it is locked", "a folder is locked before it is removed"],
)
def test_a_sweep_and_a_new_folder_meet(tmp_path, event, code, printed):
    """A worker and media that start at the same time share the disk."""
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN + code, event],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, printed), done.stderr
    assert [*tmp_path.iterdir()] == []


def test_what_a_killed_worker_left_is_swept_and_what_is_in_use_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED], env=environment, capture_output=True, text=True, check=False
    )
    with scratch.folder() as used:
        assert {str(path) for path in tmp_path.iterdir()} == {killed.stdout.strip(), str(used)}
        assert scratch.sweep() == 1
        assert [*tmp_path.iterdir()] == [used]
    assert [*tmp_path.iterdir()] == []

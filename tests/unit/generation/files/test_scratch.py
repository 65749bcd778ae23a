"""Folders for content on its way: private, and gone with the work or, when that was killed, with the next start."""

import os
import stat
import subprocess
import sys
import tempfile

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

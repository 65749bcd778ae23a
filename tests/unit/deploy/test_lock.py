"""One suite per home."""

import os
import subprocess
import sys

import pytest

from deploy.local.lock import AlreadyRunning, Lock

HOLDER = """
import sys, pathlib
from deploy.local.lock import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
lock.take()
lock.write({"url": "http://127.0.0.1:1"})
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "taken\n"
        yield holder
        holder.kill()


def test_a_second_is_told_who_runs(tmp_path, other):
    with pytest.raises(AlreadyRunning) as found:
        Lock(tmp_path).take()
    assert found.value.args[0] == {"pid": other.pid, "url": "http://127.0.0.1:1"}
    assert Lock(tmp_path).holder() == {"pid": other.pid, "url": "http://127.0.0.1:1"}


def test_the_lock_dies_with_its_holder(tmp_path, other):
    other.kill()
    other.wait()
    lock = Lock(tmp_path)
    assert lock.holder() is None
    lock.take()
    assert lock.read() == {"pid": os.getpid()}
    lock.release()
    assert Lock(tmp_path).holder() is None


def test_who_asks_makes_and_changes_nothing(tmp_path):
    """FILMGATE_HOME may name a folder that is no home, such as /var, whose `run` is the system's."""
    system = tmp_path / "system"
    system.mkdir(mode=0o755)
    home = tmp_path / "var"
    home.mkdir()
    (home / "run").symlink_to(system)
    assert Lock(home).holder() is None
    assert system.stat().st_mode & 0o777 == 0o755
    assert list(system.iterdir()) == []
    assert Lock(tmp_path / "none").holder() is None
    assert not (tmp_path / "none").exists()

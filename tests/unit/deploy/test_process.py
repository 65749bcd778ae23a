"""A child process: its log, its end, its faults, and its new start after a growing delay."""

import os
import select
import signal
import subprocess
import sys

import pytest

from deploy.local.process import Process

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd()}


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self):
        return self.now


def make(tmp_path, program, clock=None):
    command = [sys.executable, "-c", program]
    return Process("toy", command, ENVIRONMENT, tmp_path / "toy.log", tmp_path, clock=clock or Clock())


def gone_within(pid, seconds):
    """Whether a process that is not our child has ended, without polling."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def test_output_goes_to_the_log(tmp_path):
    process = make(tmp_path, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    process.launch()
    assert process.wait(10)
    assert process.ending() == "status 3"
    assert sorted(process.last_words().split()) == ["err", "out"]


def test_what_it_writes_is_private(tmp_path):
    process = make(tmp_path, "open('made', 'w').close()")
    process.launch()
    assert process.wait(10)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600


def test_a_large_log_is_put_aside(tmp_path, monkeypatch):
    monkeypatch.setattr("deploy.local.process.LOG_BYTES", 10)
    (tmp_path / "toy.log").write_text("a line of former days\n")
    process = make(tmp_path, "print('new')")
    process.launch()
    process.wait(10)
    assert (tmp_path / "toy.log").read_text() == "new\n"
    assert (tmp_path / "toy.log.1").read_text() == "a line of former days\n"


STUBBORN = """
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"])
open("child", "w").write(str(child.pid))
signal.pause()
"""


def test_one_that_ignores_the_polite_signal_is_killed_with_its_children(tmp_path):
    os.mkfifo(tmp_path / "child")  # reading it waits until the program writes its child's number
    process = make(tmp_path, STUBBORN)
    process.launch()
    child = int((tmp_path / "child").read_text())
    process.end(seconds=0.1)
    assert process.ending() == "SIGKILL"
    assert gone_within(child, 10)


def test_a_stopped_one_is_alive_and_can_be_ended(tmp_path):
    process = make(tmp_path, "import signal; signal.pause()")
    process.launch()
    process.stop()
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert process.alive
    process.end()
    assert process.ending() == "SIGTERM"


def test_what_dies_starts_again_after_a_growing_delay(tmp_path):
    clock, said = Clock(), []
    process = make(tmp_path, "pass", clock)
    process.launch()
    for delay in (0.5, 1.0, 2.0):
        assert process.wait(10)
        process.tend(said.append)
        assert f"again in {delay:g} s" in said[-1]
        clock.now += delay - 0.1
        process.tend(said.append)
        assert not process.alive
        clock.now += 0.2
        process.tend(said.append)
    assert process.restarts == 3
    assert len(said) == 3
    process.end()


def test_what_lived_long_starts_again_at_once(tmp_path):
    clock = Clock()
    process = make(tmp_path, "import signal; signal.pause()", clock)
    process.launch()
    clock.now += 3600
    process.kill()
    process.tend(lambda line: None)
    assert process.alive
    process.end()


STARTER = """
import os, pathlib, sys
from deploy.local.process import Process
process = Process("toy", ["sleep", "600"], dict(os.environ), pathlib.Path(sys.argv[1]) / "toy.log", pathlib.Path("."))
process.launch()
while pathlib.Path(f"/proc/{process.pid}/comm").read_text() != "sleep\\n":
    pass
print(process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_it_dies_with_its_starter(tmp_path):
    ran = subprocess.run([sys.executable, "-c", STARTER, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ran.returncode == -signal.SIGKILL
    assert gone_within(int(ran.stdout), 10)


def test_faults_on_one_that_never_ran_do_nothing(tmp_path):
    process = make(tmp_path, "pass")
    for fault in (process.kill, process.stop, process.cont, process.end):
        fault()
    assert process.pid is None
    with pytest.raises(FileNotFoundError):
        (tmp_path / "toy.log").read_text()

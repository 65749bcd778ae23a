"""What the benchmark reads of the kernel, on processes of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench import machine

SPIN = "import time\nwhile time.process_time() < 0.2: pass\n"
CHILD = f"{SPIN}print(1, flush=True)\ninput()"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {SPIN!r}])
subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdin=subprocess.PIPE).wait()
"""


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child that has ended and one that lives; both have used 0.2 s, and it has said so."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    yield parent
    for pids in machine.trees({"family": parent.pid}).values():
        for pid in pids:
            os.kill(pid, 9)
    parent.wait()
    parent.stdout.close()


def test_a_tree_is_a_process_with_its_children(family):
    assert len(machine.trees({"family": family.pid})["family"]) == 2
    assert machine.cpu_seconds({"family": family.pid})["family"] >= 0.35  # in ticks of 10 ms
    assert machine.pss_mib({"family": family.pid})["family"] > 2


def test_a_root_below_another_is_counted_once(family):
    own = os.getpid()
    trees = machine.trees({"tests": own, "family": family.pid})
    assert own in trees["tests"]
    assert not set(trees["tests"]) & set(trees["family"])


def test_what_has_gone_counts_nothing():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert machine.cpu_seconds({"gone": gone.pid}) == {"gone": 0.0}
    assert machine.pss_mib({"gone": gone.pid}) == {"gone": 0.0}


def test_use_is_what_came_since():
    assert machine.since({"a": 1.0, "b": 5.0}, {"a": 3.0, "b": 4.0, "c": 1.0}) == {"a": 2.0, "b": 0.0, "c": 1.0}


def test_the_machine_and_the_commit_are_named():
    told = machine.described()
    assert {"machine", "commit", "python"} <= set(told)
    assert all(told.values())

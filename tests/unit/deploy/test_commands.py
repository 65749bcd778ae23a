"""What a person is told by make up, down, status, logs and clean when something stands in the way."""

import os
import socket
import subprocess
import sys

import pytest

from deploy.local.config import ROOT
from deploy.local.lock import Lock


@pytest.fixture
def command(tmp_path):
    """Runs `python -m deploy.local <name>` with a home of its own; answers status and words."""
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", "FILMGATE_HOME": str(tmp_path / "home")}

    def run(*arguments, **settings):
        ran = subprocess.run(
            [sys.executable, "-m", "deploy.local", *arguments], env=base | settings, cwd=ROOT,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        return ran.returncode, ran.stdout + ran.stderr

    run.home = tmp_path / "home"
    return run


@pytest.fixture
def running(command):
    """A suite that runs, as far as its lock says."""
    lock = Lock(command.home)
    lock.take()
    yield lock
    lock.release()


def test_a_second_up_says_that_one_is_running(command, running):
    status, said = command("up")
    assert status == 1
    assert f"already running (process {os.getpid()})" in said
    assert "make down" in said


def test_a_taken_port_is_named_before_anything_starts(command):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        status, said = command("up", FILMGATE_EDGE_PORT=str(holder.getsockname()[1]))
    assert status == 1
    assert "set FILMGATE_EDGE_PORT to a free one" in said
    assert not (command.home / "pg").exists()


@pytest.mark.parametrize("name", ["up", "demo"])
def test_another_address_than_loopback_is_refused(command, name):
    status, said = command(name, FILMGATE_BIND="0.0.0.0")
    assert status == 1
    assert "binds to 127.0.0.1 only" in said
    assert not (command.home / "pg").exists()


def test_a_setting_that_is_no_number_is_named(command):
    status, said = command("up", FILMGATE_AUTH_PORT="many")
    assert status == 1
    assert "FILMGATE_AUTH_PORT" in said


def test_a_picture_that_is_not_there_is_named_before_anything_starts(command):
    status, said = command("demo", "--image", "holiday.png", "--prompt", 'it\'s "quoted" $HOME')
    assert (status, said) == (2, "There is no picture holiday.png.\n")
    assert not (command.home / "pg").exists()


def test_nothing_runs(command):
    assert command("status") == (3, "Filmgate is not running; make up starts it.\n")
    assert command("down") == (0, "Filmgate is not running.\n")
    assert command("logs") == (1, "There are no logs yet.\n")


def test_a_suite_that_is_still_starting_has_no_state_yet(command, running):
    status, said = command("status")
    assert (status, "starting or stopping" in said) == (1, True)


def test_clean_needs_no_environment_and_leaves_a_running_suite_alone(command, running):
    ran = subprocess.run(
        ["/usr/bin/python3", "-m", "deploy.local", "clean"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "FILMGATE_HOME": str(command.home)},
    )  # fmt: skip
    assert ran.returncode == 1
    assert "make down" in ran.stderr
    assert command.home.exists()

"""What a person is told by make up, down, status, logs, clean and destroy when something stands in the way."""

import os
import socket
import subprocess
import sys

import pytest

from deploy.local import secret_files
from deploy.local.config import ROOT, keys_folder
from deploy.local.lock import Lock


@pytest.fixture
def command(tmp_path):
    """Runs `python -m deploy.local <name>` with a home of its own; returns status and words."""
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
    assert said == f"Filmgate is already running (process {os.getpid()}); make down stops it.\n"
    running.write({"url": "http://127.0.0.1:8080"})
    said = command("up")[1]
    assert said == (
        f"Filmgate is already running (process {os.getpid()}) at http://127.0.0.1:8080; make down stops it.\n"
    )


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


@pytest.mark.parametrize("arguments", [["clean"], ["destroy", "--confirm", "yes"]])
def test_they_need_no_environment_and_leave_a_running_suite_alone(command, running, arguments):
    secret_files.make(command.home / "secrets", keys_folder(command.home))
    ran = subprocess.run(
        ["/usr/bin/python3", "-m", "deploy.local", *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "FILMGATE_HOME": str(command.home)},
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (1, "Filmgate is running; make down stops it.\n")
    assert (command.home / "secrets" / "pepper").exists()
    assert keys_folder(command.home).exists()


@pytest.mark.parametrize("confirm", ["", "no", "YES", "y"])
def test_destroy_wants_the_word_yes(command, confirm):
    secret_files.make(command.home / "secrets", keys_folder(command.home))
    status, said = command("destroy", "--confirm", confirm)
    assert status == 1
    assert said.endswith("Nothing was removed; make destroy CONFIRM=yes removes it.\n")
    assert (command.home / "secrets" / "pepper").exists()
    assert command("destroy", "--confirm", "yes")[0] == 0
    assert not command.home.exists()
    assert not keys_folder(command.home).exists()


def test_make_passes_the_word_on():
    said = subprocess.run(
        ["make", "--no-print-directory", "-n", "destroy", "CONFIRM=yes"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.endswith('deploy.local destroy --confirm "yes"\n')

"""What is said when torch cannot be had; in place of a Python stands a program that answers as one would."""

import re
from pathlib import Path

import pytest

from deploy.local import torch
from deploy.local.config import ROOT

SCRIPT = """#!/bin/sh
case "$*" in
  *"-m pip"*) echo "$*" >> "{log}"; {pip};;
  *"import torch"*) {imported};;
esac
"""


@pytest.fixture
def environment(tmp_path):
    """Makes an environment by what its pip and its import do; returns it and the log of pip's arguments."""

    def made(imported: str, pip: str = "exit 0") -> tuple[Path, Path]:
        log = tmp_path / "pip.log"
        log.touch()
        python = tmp_path / "bin" / "python"
        python.parent.mkdir()
        python.write_text(SCRIPT.format(log=log, pip=pip, imported=imported))
        python.chmod(0o755)
        return tmp_path, log

    return made


def test_a_torch_that_is_there_is_left_alone(environment):
    home, log = environment("exit 0")
    assert torch.main(home, full=False) == 0
    assert log.read_text() == ""


@pytest.mark.parametrize(("full", "alone"), [(False, True), (True, False)])
def test_it_is_installed_alone_unless_all_of_it_is_asked_for(environment, full, alone):
    home, log = environment('test -s "$(dirname $0)/../pip.log"')
    assert torch.main(home, full=full) == 0
    assert ("--no-deps" in log.read_text()) is alone
    assert f"torch=={torch.VERSION}" in log.read_text()


def test_a_machine_whose_python_has_no_torch_is_told_so(environment, capsys):
    home, _ = environment("exit 1", "echo 'ERROR: No matching distribution found' >&2; exit 1")
    assert torch.main(home, full=False) == 1
    assert "There is no torch" in (said := capsys.readouterr().err)
    assert "No matching distribution found" in said


def test_a_torch_that_cannot_be_imported_is_explained(environment, capsys):
    home, _ = environment("echo 'ImportError: libcudart.so.13' >&2; exit 1")
    assert torch.main(home, full=False) == 1
    said = capsys.readouterr().err
    assert "libcudart.so.13" in said
    assert "make setup-wan TORCH=full" in said


def test_the_locks_of_one_environment_agree():
    folder = ROOT / "services" / "generation" / "triton"
    server, models = (
        dict(re.findall(r"^([\w.-]+)==([^ ]+)", path.read_text(), re.MULTILINE))
        for path in (folder / "requirements.lock", folder / "wan" / "requirements.lock")
    )
    shared = server.keys() & models.keys()
    assert {"numpy", "pillow"} <= shared
    assert {name: server[name] for name in shared} == {name: models[name] for name in shared}
    assert "torch" not in models

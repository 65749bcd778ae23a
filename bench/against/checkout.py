"""A commit as a folder that runs: its files, its environments, its generated code."""

import os
import shutil
import subprocess
from pathlib import Path

from deploy.local.config import ROOT
from deploy.local.files import private_folder

FOLDER = Path(".filmgate") / "against"
LOCKS = {
    ".venv": "requirements.lock",
    ".venv-triton": "services/generation/triton/requirements.lock",
}
"""The environments that a suite needs, and the lock file that each is made from."""


class Missing(Exception):
    """The commit cannot be had or built; the message says why."""


def prepare(commit: str) -> Path:
    """Return the folder of a commit, ready to run. Raises Missing.

    An environment whose lock file is the same on both sides is shared; any other is made anew by the commit's own `make
    setup`, which takes some minutes.
    """
    name = _git("rev-parse", "--verify", f"{commit}^{{commit}}").strip()
    folder = private_folder(FOLDER).absolute() / name[:12]
    if not (folder / "gen" / ".stamp").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _unpack(name, private_folder(folder))
        _share(folder)
        _make(folder, "setup", "protos")
    return folder


def _unpack(name: str, folder: Path) -> None:
    archive = folder / "commit.tar"
    _git("archive", "--output", str(archive), name)
    subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)
    archive.unlink()


def _share(folder: Path) -> None:
    for venv, lock in LOCKS.items():
        if (ROOT / venv).exists() and (ROOT / lock).read_bytes() == (folder / lock).read_bytes():
            os.utime(folder / lock, (0, 0))  # older than the environment's stamp: make sees nothing to do
            (folder / venv).symlink_to((ROOT / venv).resolve())


def _make(folder: Path, *targets: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTHONPATH"))}
    ran = subprocess.run(
        ["make", "-s", *targets], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise Missing(f"make {' '.join(targets)} failed in {folder}:\n{(ran.stdout + ran.stderr)[-2000:]}")


def _git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Missing(f"git {arguments[0]}: {ran.stderr.strip()}")
    return ran.stdout

"""Brings the four databases to the revision of this code, all at once, and only when something has changed."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.config import ROOT
from deploy.local.files import write_private

SECONDS = 120


class MigrationError(Exception):
    """A database could not be migrated; the message holds what the command said."""


def run(home: Path, environments: Mapping[str, Mapping[str, str]]) -> bool:
    """Run `migrate` of each service in its environment, side by side. Returns False when nothing had changed.

    What was applied last is noted beside the data, so that a warm start does not pay for four processes that find
    nothing to do. The services check the revision themselves.
    """
    mark = _fingerprint()
    notes = {name: home / "pg" / f"filmgate-migrated-{name}" for name in environments}
    stale = [name for name, note in notes.items() if not note.exists() or note.read_text() != mark]
    running = {name: _start(name, environments[name]) for name in stale}
    faults = []
    for name, process in running.items():
        output, _ = process.communicate(timeout=SECONDS)
        if process.returncode:
            faults.append(f"migrating {name} ended with status {process.returncode}:\n{output.strip()[-2000:]}")
        else:
            write_private(notes[name], mark.encode())
    if faults:
        raise MigrationError("\n".join(faults))
    return bool(stale)


def _start(name: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", f"services.{name}", "migrate"]
    return subprocess.Popen(
        command, env=dict(environment), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _fingerprint() -> str:
    """Changes with every migration and with the shared code that migrations stand on."""
    digest = hashlib.sha256()
    for path in sorted([*ROOT.glob("services/*/migrations/**/*.py"), *ROOT.glob("services/runtime/*.py")]):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()

"""A small disk of its own for one folder, which a test can fill: a tmpfs in a mount namespace of the test's own.

A mount needs no root, only a namespace: `python -m ...` that calls `own_namespace` first starts itself anew in one,
where its user is called root. Every process that it starts sees the disk; nobody else does.
"""

import os
import subprocess
import sys
from pathlib import Path

BALLAST = "ballast"
MARK = "CHAOS_NAMESPACE"
PIECE = 256 * 1024


def own_namespace() -> None:
    """Go on in a mount namespace of one's own. Called before anything else: the program starts anew there, and from
    then on it dies with who started it."""
    if os.environ.get(MARK) == "1":
        return
    command = ["unshare", "--user", "--map-root-user", "--mount", "--", "setpriv", "--pdeathsig", "KILL", "--"]
    command += [sys.executable, *sys.orig_argv[1:]]
    os.execvpe(command[0], command, {**os.environ, MARK: "1"})  # noqa: S606  a fixed list


class Disk:
    """A disk of `mebibytes` mounted on `folder`."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = f"size={mebibytes}m,mode=700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "filmgate-test", str(folder)], check=True)

    def fill(self) -> None:
        """Take all the space that is left."""
        with (self.folder / BALLAST).open("ab", buffering=0) as ballast:
            for size in (PIECE, 4096):
                try:
                    while ballast.write(bytes(size)) == size:
                        continue
                except OSError:
                    continue

    def free(self) -> None:
        """Give the space back."""
        (self.folder / BALLAST).unlink(missing_ok=True)

    def unmount(self) -> None:
        """Take it away with all that is on it; the processes that use it have ended."""
        subprocess.run(["umount", str(self.folder)], check=True)

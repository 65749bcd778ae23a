"""Gives an environment a torch that can be imported: `python -m deploy.local.torch .venv-wan [full]`.

No lock can name torch's build: a machine without a GPU wants the one for the CPU, which pip finds where its settings
say (PIP_FIND_LINKS, PIP_INDEX_URL), and elsewhere pip takes the one for CUDA, whose libraries are gigabytes.
So it is installed alone first; `full` lets it bring what it names.
"""

import subprocess
import sys
from pathlib import Path

VERSION = "2.13.0"
FULL = "full"


def main(environment: Path, *, full: bool) -> int:
    """Exit status 0 when torch of VERSION can be imported from the environment, 1 with a sentence when it cannot."""
    python = str(environment / "bin" / "python")
    if not _fault(python):
        return 0
    command = [python, "-m", "pip", "install", "-q", *([] if full else ["--no-deps"]), f"torch=={VERSION}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        said = (ran.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        print(f"There is no torch {VERSION} to be had for this machine's Python: {said}", file=sys.stderr)
        return 1
    if fault := _fault(python):
        print(
            f"torch {VERSION} was installed into {environment} but cannot be imported ({fault}). Have pip find the "
            f"build for CPUs by PIP_FIND_LINKS or PIP_INDEX_URL and remove {environment}, or run "
            "`make setup-wan TORCH=full` for the build for CUDA with its libraries, several gigabytes.",
            file=sys.stderr,
        )
        return 1
    return 0


def _fault(python: str) -> str:
    """What stands against importing it: the last words of the attempt; empty when nothing does."""
    check = f"import torch; assert torch.__version__.split('+')[0] == '{VERSION}', torch.__version__"
    ran = subprocess.run([python, "-c", check], capture_output=True, text=True, check=False)
    return (ran.stderr.strip().splitlines() or ["it ended"])[-1] if ran.returncode else ""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), full=FULL in sys.argv[2:]))

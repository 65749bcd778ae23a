"""Programs that need torch run on the Python of .venv-wan, apart from the tests, whose environment has none."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 600


def program(module: str, *arguments: str) -> str:
    """Run a module of ours on the Python of .venv-wan; returns what it printed. Raises with its last words."""
    command = [str(ROOT / ".venv-wan" / "bin" / "python"), "-m", module, *arguments]
    environment = {
        "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error",
    }  # fmt: skip
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    if ran.returncode:
        raise RuntimeError(f"{module} ended with status {ran.returncode}:\n{ran.stderr[-3000:]}")
    return ran.stdout

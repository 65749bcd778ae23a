"""The models `wan`, `wan-image` and `wan-5b`: one program, whose weights decide what it is. See ../serving.py.

It runs inside Triton's Python stub, which knows only the system's packages and ignores PYTHONPATH. So the first
lines put two folders on the path: the packages of the models' own environment, which the supervisor links beside
the backend (a container has them in its system instead), and the root that `services` is imported from.
"""

import importlib.util
import sys
from pathlib import Path

BACKEND = importlib.util.find_spec("triton_python_backend_utils")
if BACKEND is None or BACKEND.origin is None:
    raise ImportError("a model runs inside Triton's Python stub only")
SITE = Path(BACKEND.origin).with_name("site-packages")
ROOT = Path(__file__).resolve().parents[5]
sys.path[:0] = [str(folder) for folder in (SITE, ROOT) if folder.is_dir() and str(folder) not in sys.path]

from services.generation.triton.wan.serving import TritonPythonModel  # noqa: E402

__all__ = ["TritonPythonModel"]

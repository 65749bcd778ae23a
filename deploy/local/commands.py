"""What `make down`, `status` and `logs` do. Each answers an exit status."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from deploy.local import config
from deploy.local.lock import Lock
from deploy.local.ports import Ports
from deploy.local.suite import Suite

STOP_SECONDS = 90


def down() -> int:
    """Stop the running suite and wait until all of it has ended."""
    lock = Lock(_home())
    note = lock.holder()
    if note is None:
        print("Filmgate is not running.")
        return 0
    os.kill(note["pid"], signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while lock.holder() is not None:
        if time.monotonic() > deadline:
            print(f"Process {note['pid']} has not ended within {STOP_SECONDS} s.")
            return 1
        time.sleep(0.05)
    print("Filmgate has stopped.")
    return 0


def status() -> int:
    """Print each part with its state; exit status 0 when all are ready, 1 when some are not, 3 when nothing runs."""
    note = Lock(_home()).holder()
    if note is None:
        print("Filmgate is not running; make up starts it.")
        return 3
    if "parts" not in note:
        print(f"Filmgate (process {note['pid']}) is starting or stopping.")
        return 1
    print(f"Filmgate (process {note['pid']}) at {note['url']}")
    suite, sound = Suite(_home(), Ports(**note["ports"])), True
    for name, part in note["parts"].items():
        answers = suite.serves(name, part["pid"])
        sound = sound and answers
        times = "once" if part["restarts"] == 1 else f"{part['restarts']} times"
        again = f", started again {times}" if part["restarts"] else ""
        print(f"  {name:<12} {'ready' if answers else 'NOT READY':<10} process {part['pid']}{again}")
    for model, why in suite.models().items():
        sound = sound and not why
        print(f"  {model:<12} {f'NOT OFFERED: {why}' if why else 'offered'}")
    return 0 if sound else 1


def logs() -> int:
    """Follow the logs of all parts until Ctrl-C."""
    files = sorted((_home() / "logs").glob("*.log"))
    if not files:
        print("There are no logs yet.")
        return 1
    with contextlib.suppress(KeyboardInterrupt):
        subprocess.run(["tail", "-n", "10", "-F", *map(str, files)], check=False)
    return 0


def _home() -> Path:
    return config.read()[0].home.absolute()

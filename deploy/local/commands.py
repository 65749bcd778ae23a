"""What `make up`, `demo`, `down`, `status` and `logs` do. Each answers an exit status."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy.local import config, demo, ready
from deploy.local.lock import AlreadyRunning, Lock
from deploy.local.migrations import MigrationError
from deploy.local.ports import Ports
from deploy.local.postgres import PostgresError
from deploy.local.running import Stopped, Tell, run
from deploy.local.suite import Suite, SuiteError
from services.runtime.config import ConfigError

FAULTS = (SuiteError, MigrationError, PostgresError, ConfigError, PermissionError)
STOP_SECONDS = 90
WELCOME = """
Filmgate runs at {url}
Your key: {key}

Try, in another terminal:
  curl -s -H 'Authorization: Bearer {key}' {url}/v1/models
  curl -s -H 'Authorization: Bearer {key}' {url}/v1/wallet
  curl -s -H 'Authorization: Bearer {key}' -d '{{"model": "animatic", "prompt": "Hello, Filmgate"}}' {url}/v1/videos

Mails and messages arrive as files in {outbox}; make logs shows the logs; Ctrl-C stops everything.
"""


def up() -> int:
    """Run the suite in the foreground until Ctrl-C, SIGTERM or a hang-up; what dies is started again."""
    return _told(lambda: run(_serve, _say))


def _serve(suite: Suite, tell: Tell) -> int:
    key = asyncio.run(demo.ready_key(suite.url, suite.outbox))
    _say(WELCOME.format(url=suite.url, key=key, outbox=suite.outbox))
    while True:
        suite.tend()
        tell()
        time.sleep(0.25)


def show(image: str, prompt: str) -> int:
    """Make one video as an outside client would, on the running suite or on one that is started for it."""

    def act(suite: Suite, tell: Tell) -> int:
        return asyncio.run(demo.main(suite.url, suite.outbox, image, prompt))

    def start_or_join() -> int:
        try:
            return run(act, _say)
        except AlreadyRunning as running:
            note = running.args[0]
            if "url" not in note:
                raise
            return asyncio.run(demo.main(note["url"], Path(note["outbox"]), image, prompt))

    return _told(start_or_join)


def down() -> int:
    """Stop the running suite and wait until all of it has ended."""
    lock = Lock(_home())
    note = lock.holder()
    if note is None:
        _say("Filmgate is not running.")
        return 0
    os.kill(note["pid"], signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while lock.holder() is not None:
        if time.monotonic() > deadline:
            _say(f"Process {note['pid']} has not ended within {STOP_SECONDS} s.")
            return 1
        time.sleep(0.05)
    _say("Filmgate has stopped.")
    return 0


def status() -> int:
    """Print each part with its state; exit status 0 when all are ready, 1 when some are not, 3 when nothing runs."""
    note = Lock(_home()).holder()
    if note is None:
        _say("Filmgate is not running; make up starts it.")
        return 3
    if "parts" not in note:
        _say(f"Filmgate (process {note['pid']}) is starting or stopping.")
        return 1
    _say(f"Filmgate (process {note['pid']}) at {note['url']}")
    suite, sound = Suite(_home(), Ports(**note["ports"])), True
    for name, part in note["parts"].items():
        answers = ready.is_ready(name, suite.ports, suite.admin_socket)
        sound = sound and answers
        again = f", started again {part['restarts']} times" if part["restarts"] else ""
        _say(f"  {name:<12} {'ready' if answers else 'NOT READY':<10} process {part['pid']}{again}")
    return 0 if sound else 1


def logs() -> int:
    """Follow the logs of all parts until Ctrl-C."""
    files = sorted((_home() / "logs").glob("*.log"))
    if not files:
        _say("There are no logs yet.")
        return 1
    with contextlib.suppress(KeyboardInterrupt):
        subprocess.run(["tail", "-n", "10", "-F", *map(str, files)], check=False)
    return 0


def _home() -> Path:
    return config.read()[0].home.absolute()


def _say(line: str) -> None:
    print(line, flush=True)


def _told(action: Callable[[], int]) -> int:
    """Turn what a person can do something about into a sentence."""
    try:
        return action()
    except AlreadyRunning as running:
        note = running.args[0]
        _say(f"Filmgate is already running (process {note.get('pid')}) {note.get('url', '')}; make down stops it.")
        return 1
    except FAULTS as fault:
        print(f"Filmgate could not start: {fault}", file=sys.stderr)
        return 1
    except Stopped:
        return 130

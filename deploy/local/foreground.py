"""What `make up` and `make demo` do: run the suite, or use the one that runs. Each answers an exit status."""

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.local import customer, demo
from deploy.local.client import Refused
from deploy.local.lock import AlreadyRunning
from deploy.local.migrations import MigrationError
from deploy.local.postgres import PostgresError
from deploy.local.running import Stopped, Tell, run
from deploy.local.suite import Suite, SuiteError
from deploy.local.triton import TritonError
from deploy.observability.local import WatchError
from services.runtime.config import StartFault

FAULTS = (SuiteError, MigrationError, PostgresError, TritonError, WatchError, StartFault, Refused, OSError)
TRY = """Your key: {key}

Try, in another terminal:
  curl -s -H 'Authorization: Bearer {key}' {url}/v1/models
  curl -s -H 'Authorization: Bearer {key}' {url}/v1/wallet
  curl -s -H 'Authorization: Bearer {key}' -d '{{"model": "animatic", "prompt": "Hello, Filmgate"}}' {url}/v1/videos

"""
WELCOME = """
Filmgate runs at {url}
{said}{hints}{pages}Mails and messages arrive as files in {outbox}; make logs shows the logs; Ctrl-C stops everything.
"""


def up(*, telemetry: bool = False) -> int:
    """Run the suite in the foreground until Ctrl-C, SIGTERM or a hang-up; what dies is started again."""
    return _told(lambda: run(_serve, _say, telemetry=telemetry))


def _serve(suite: Suite, tell: Tell, pages: Mapping[str, str]) -> int:
    """Tend the suite until a signal, which is the ordinary end and no failure."""
    try:
        found = asyncio.run(customer.ready(suite.url, suite.outbox, suite.home))
        said = f"{found.said}\n" if found.said else ""
        hints = TRY.format(key=found.key, url=suite.url) if found.key else ""
        watched = "".join(f"Telemetry: {name} at {url}\n" for name, url in pages.items())
        _say(WELCOME.format(url=suite.url, said=said, hints=hints, pages=watched, outbox=suite.outbox))
        while True:
            suite.tend()
            tell()
            time.sleep(0.25)
    except Stopped:
        return 0


def show(image: str, prompt: str) -> int:
    """Make one video as an outside client would, on the running suite or on one that is started for it."""

    def act(suite: Suite, tell: Tell, pages: Mapping[str, str]) -> int:
        return asyncio.run(demo.main(suite.url, suite.outbox, image, prompt))

    def start_or_join() -> int:
        try:
            return run(act, _say)
        except AlreadyRunning as running:
            note = running.args[0]
            if "url" not in note:
                raise
            return asyncio.run(demo.main(note["url"], Path(note["outbox"]), image, prompt))

    if image and not Path(image).is_file():
        _say(f"There is no picture {image}.")
        return 2
    return _told(start_or_join)


def _say(line: str) -> None:
    print(line, flush=True)


def _told(action: Callable[[], int]) -> int:
    """Turn what a person can do something about into a sentence."""
    try:
        return action()
    except AlreadyRunning as running:
        note = running.args[0]
        where = f" at {note['url']}" if "url" in note else ""
        _say(f"Filmgate is already running (process {note.get('pid')}){where}; make down stops it.")
        return 1
    except FAULTS as fault:
        print(f"Filmgate could not start: {fault}", file=sys.stderr)
        return 1
    except Stopped:
        return 130

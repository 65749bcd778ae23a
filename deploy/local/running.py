"""One run of the suite from start to end: the checks before it, the lock, the signals, and the orderly stop."""

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

from deploy.local import config, ports
from deploy.local.lock import Lock
from deploy.local.suite import Suite, SuiteError
from deploy.observability.local import Watch, WatchPorts
from services.runtime.config import from_env

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Tell = Callable[[], None]
Act = Callable[[Suite, Tell, Mapping[str, str]], int]
"""What is done on the running suite: it gets a function that notes the state, and telemetry's pages by their names."""


class Stopped(BaseException):
    """A signal asked this process to end."""


def run(act: Act, say: Callable[[str], None], *, telemetry: bool = False) -> int:
    """Start the suite, `act` on it, and stop it whatever happens.

    With `telemetry` Prometheus and a receiver of traces run beside it. Raises AlreadyRunning when another process runs
    it, SuiteError or WatchError when something forbids the start.
    """
    settings, chosen = config.read()
    outside = config.refuse_outside(settings.bind)
    if outside:
        raise SuiteError(outside)
    home = settings.home.absolute()
    lock = Lock(home)
    lock.take()
    try:
        own = from_env(WatchPorts)
        taken = list(ports.faults(chosen, own) if telemetry else ports.faults(chosen))
        if taken:
            raise SuiteError("\n".join(taken))
        with _signals_raise():
            if not telemetry:
                return _started(Suite(home, chosen, say=say), lock, act)
            with Watch(home, chosen, own, say) as watch:
                return _started(Suite(home, chosen, watch.settings, say=say), lock, act, watch)
    finally:
        lock.release()


def _started(suite: Suite, lock: Lock, act: Act, watch: Watch | None = None) -> int:
    last: dict[str, Any] = {}

    def tell() -> None:
        nonlocal last
        if watch:
            watch.tend()
        note = _note(suite)
        if note != last:
            lock.write(note)
            last = note

    try:
        suite.say("Starting Filmgate")
        suite.start()
        tell()
        pages = {"Prometheus": watch.prometheus, "traces": f"{watch.traces}/"} if watch else {}
        return act(suite, tell, pages)
    finally:
        # From here on another Ctrl-C must not cut the orderly end short.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        lock.write({})
        suite.say("Stopping Filmgate")
        suite.stop()


def _note(suite: Suite) -> dict[str, Any]:
    """What other commands may know about the running suite."""
    running: dict[str, Any] = {name: suite.process(name) for name in suite.launched}
    if suite.postgres.alive:
        running = {"postgres": suite.postgres, **running}
    parts = {name: {"pid": process.pid, "restarts": process.restarts} for name, process in running.items()}
    return {
        "url": suite.url,
        "outbox": str(suite.outbox),
        "ports": dataclasses.asdict(suite.ports),
        "parts": parts,
    }


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    former = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

"""One child process: started in a process group of its own, logged to one file, and dead when its starter is dead."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LOG_BYTES = 16 * 2**20  # a log larger than this is put aside as <name>.log.1 at the next start
FIRST_DELAY, MAX_DELAY = 0.5, 30.0  # seconds between two restarts of a part that keeps dying
DRAIN_SECONDS = 20.0
SOUND_AFTER = 60.0  # a part that lived this long starts again without delay


class Process:
    """A program with its environment and log file. Launch it from the main thread: it dies with that thread."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        cwd: Path,
        *,
        prepare: Callable[[], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prepare = prepare
        self._clock = clock
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.log = log
        self.cwd = cwd
        self.restarts = 0
        self._popen: subprocess.Popen[bytes] | None = None
        self._launched = 0.0
        self._delay = 0.0
        self._next_launch = 0.0

    @property
    def pid(self) -> int | None:
        """The process number, also that of its group; None before the first launch."""
        return self._popen.pid if self._popen else None

    @property
    def alive(self) -> bool:
        """Whether it was launched and has not ended; a stopped (SIGSTOP) process is alive."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def status(self) -> int | None:
        """The exit status as Popen has it (negative: the signal), or None while it runs."""
        return self._popen.poll() if self._popen else None

    def launch(self) -> None:
        """Start it and answer at once. SIGKILL reaches it when this process dies, however that happens.

        What a former run has left is ended first, and `prepare` is called, before every start. What it writes is its
        owner's alone: Triton keeps prompts and pictures in shared memory, outside of our folders.
        """
        self._end_group()
        if self._prepare is not None:
            self._prepare()
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.rename(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.command],
                env=self.environment, cwd=self.cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, umask=0o077,
            )  # fmt: skip
        self._launched = self._clock()

    def terminate(self) -> None:
        """Ask it to drain and end (SIGTERM), answering at once; a stopped one is woken for it."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within `seconds`."""
        if self._popen is None:
            return True
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, seconds: float = DRAIN_SECONDS) -> None:
        """Drain and end it; after `seconds` by force. Its own children end with it."""
        self.terminate()
        self.finish(seconds)

    def finish(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait for the end of one that was asked to; after `seconds` force it. It is not asked twice: that would cut
        its drain short."""
        if not self.wait(seconds):
            self._signal(signal.SIGKILL)
            self.wait(5)
        self._end_group()

    def kill(self) -> None:
        """kill -9 of the process itself, as a fault; its children are left to notice."""
        self._signal(signal.SIGKILL)
        self.wait(5)

    def stop(self) -> None:
        """SIGSTOP to its whole group, as a fault: it is alive and does nothing any more when this answers."""
        self._signal_group(signal.SIGSTOP)
        if self._popen is not None and self.alive:
            os.waitid(os.P_PID, self._popen.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def cont(self) -> None:
        """SIGCONT to its whole group: it wakes and finds that time has passed."""
        self._signal_group(signal.SIGCONT)

    def tend(self, say: Callable[[str], None]) -> None:
        """Launch it again when it has died, with a growing delay, and say so. Call this a few times a second."""
        if self.alive:
            return
        now = self._clock()
        if not self._next_launch:
            sound = now - self._launched > SOUND_AFTER
            self._delay = 0.0 if sound else min(max(self._delay * 2, FIRST_DELAY), MAX_DELAY)
            self._next_launch = now + self._delay
            self._end_group()
            say(f"{self.name} ended ({self.ending()}); it starts again in {self._delay:g} s; see {self.log}")
        if now >= self._next_launch:
            self._next_launch = 0.0
            self.restarts += 1
            self.launch()

    def ending(self) -> str:
        """How it ended, in words."""
        status = self.status
        if status is None:
            return "running"
        return f"status {status}" if status >= 0 else signal.Signals(-status).name

    def last_words(self, lines: int = 12) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 8192))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def _signal(self, number: int) -> None:
        if self._popen is not None and self.alive:
            self._popen.send_signal(number)

    def _signal_group(self, number: int) -> None:
        if self._popen is not None and self.alive:
            os.killpg(self._popen.pid, number)

    def _end_group(self) -> None:
        """Kill what the ended process has left behind in its group."""
        if self._popen is None or self.alive:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)

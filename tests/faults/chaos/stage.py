"""Where the rounds take place: the whole suite, with billing behind a proxy, the objects on a small disk, a model that
knows poisons, and a second worker with a Triton of its own on call. It is tended as `make up` tends it."""

import asyncio
import contextlib
import datetime
import os
import signal
import sys
import time
from pathlib import Path

from deploy.local import ports, ready
from deploy.local.config import ROOT, TRITON_TLS
from deploy.local.process import Process
from deploy.local.suite import NAMES, Suite
from tests.faults.conftest import SETTINGS
from tests.support import poison
from tests.support.books import Books
from tests.support.disk import Disk
from tests.support.proxy import Proxy
from tests.support.transitions import Recorder
from tests.support.triton import Server

DISK_MEBIBYTES = 128
TEND_SECONDS = 0.25
READY_SECONDS = 60.0
SECOND = ("triton2", "worker2")
HELD = "SELECT worker FROM jobs WHERE kind LIKE 'generate%' AND state = 'RUNNING'"


class Stage:
    """One suite and what the faults need of it. Start and stop it in the main thread.

    `processes` are all that can be harmed, by name, PostgreSQL apart; `recorder` has logged every transition since the
    start, and `followed` are the videos that were held against the model.
    """

    def __init__(self, folder: Path) -> None:
        chosen, more = ports.free(), ports.free()
        self.home = folder / ".filmgate"
        self.disk = Disk(self.home / "objects", DISK_MEBIBYTES)
        self.proxy = Proxy(more.billing_port, chosen.billing_port)
        models = poison.repository(folder / "models")
        self._tritons = {
            name: Server(folder / name, models, port)
            for name, port in (("triton", chosen.triton_port), ("triton2", more.triton_port))
        }
        settings = {**SETTINGS, "FILMGATE_BILLING_ADDRESS": f"127.0.0.1:{more.billing_port}"}
        settings |= _triton_tls(self._tritons["triton"])
        names = [name for name in NAMES if name != "triton"]
        self.suite = Suite(self.home, ports=chosen, settings=settings, names=names, say=self.say)
        self.processes: dict[str, Process] = {}
        self.followed: set[str] = set()
        self._more = more
        self._tending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start everything but the second worker; answers when all is ready."""
        await self.proxy.up()
        self._launch_triton("triton")
        self.suite.start()
        self.recorder = Recorder(self.suite.database_urls)
        await self.recorder.install()
        self.processes |= {name: self.suite.process(name) for name in self.suite.launched}
        await self.until_ready(READY_SECONDS)
        self._tending = asyncio.create_task(self._tend())

    async def stop(self) -> None:
        """Stop everything."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        for name in self.processes:
            self.processes[name].cont()
        if "worker2" in self.processes:
            await self.dismiss()
        self.suite.stop()
        self._tritons["triton"].stop()
        await self.proxy.down()
        self.disk.unmount()

    async def call_second(self) -> None:
        """Start the second worker, with its Triton; answers when it takes videos."""
        self._launch_triton("triton2")
        own = {
            "FILMGATE_TRITON_ADDRESS": self._tritons["triton2"].address,
            **_triton_tls(self._tritons["triton2"]),
            "FILMGATE_HEALTH_PORT": str(self._more.health("worker")),
            "FILMGATE_METRICS_PORT": str(self._more.metrics("worker")),
        }
        command = [sys.executable, "-m", "services.generation", "work"]
        log = self.home / "logs" / "worker2.log"
        worker = Process("worker2", command, {**self.suite.env("worker"), **own}, log, ROOT)
        worker.launch()
        self.processes["worker2"] = worker
        await self.until_ready(READY_SECONDS)

    async def dismiss(self) -> None:
        """Drain the second worker and end its Triton."""
        worker, triton = self.processes.pop("worker2"), self.processes.pop("triton2")
        await asyncio.to_thread(worker.end)
        await asyncio.to_thread(triton.end, 10)
        self._tritons["triton2"].stop()

    def say(self, line: str) -> None:
        """Keep what the supervisor or a round says, beside the other logs."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        with (self.home / "logs" / "chaos.log").open("a") as log:
            log.write(f"{now} {line}\n")

    async def holder(self) -> str:
        """Wait until a worker makes a video; returns its name among the processes. Raises TimeoutError."""
        pids = {f"-{self.processes[name].pid}": name for name in ("worker", "worker2") if name in self.processes}
        books = Books(self.suite)
        try:
            async with asyncio.timeout(READY_SECONDS):
                while True:
                    for row in await books.rows("generation", HELD):
                        for suffix, name in pids.items():
                            if row["worker"].endswith(suffix):
                                return name
                    await asyncio.sleep(0.05)
        finally:
            await books.close()

    def stubs(self, name: str = "triton") -> list[int]:
        """The process numbers of the model processes of a Triton."""
        return self._tritons[name].model_processes()

    def postgres(self) -> list[int]:
        """The process numbers of PostgreSQL: the one that was started first, then its children."""
        first = self.suite.postgres.pid
        assert first is not None
        return [first, *_children(first)]

    async def until_ready(self, seconds: float) -> None:
        """Wait until every part is ready. Raises TimeoutError, which names those that are not."""
        deadline = time.monotonic() + seconds
        while missing := await self._missing():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {seconds:g} s: {', '.join(missing)}")
            await asyncio.sleep(0.02)

    async def _missing(self) -> list[str]:
        names = ["postgres", *self.processes]
        found = await asyncio.gather(*(asyncio.to_thread(self._is_ready, name) for name in names))
        return [name for name, fine in zip(names, found, strict=True) if not fine]

    def _is_ready(self, name: str) -> bool:
        if name in self._tritons:
            return self.processes[name].alive and self._tritons[name].triton.ready()
        if name == "worker2":
            return self.processes[name].alive and ready.healthy(self._more.health("worker"))
        return self.suite.is_ready(name)

    def _launch_triton(self, name: str) -> None:
        self.processes[name] = self._tritons[name].process
        self.processes[name].launch()

    async def _tend(self) -> None:
        """What died is started again; in this thread, with which a process would die."""
        while True:
            self.suite.tend()
            for name in ("triton", *SECOND):
                if name in self.processes:
                    self.processes[name].tend(self.say)
            await asyncio.sleep(TEND_SECONDS)


def _triton_tls(server: Server) -> dict[str, str]:
    """What tells a worker how this server is opened."""
    return {f"FILMGATE_TRITON_TLS_{part}": str(server.triton.certificates / file) for part, file in TRITON_TLS.items()}


def signal_all(numbers: list[int], sent: signal.Signals) -> None:
    """Send a signal to processes, as far as they live."""
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, sent)


def _children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if int(words[1]) == parent:
                found.append(int(folder.name))
    return found

"""A real Triton with the real model repository, one per test session, and faults for it."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.local import certificates, ports
from deploy.local.process import Process
from deploy.local.triton import REPOSITORY, ROOT, Triton
from tests.support import tls

START_SECONDS = 60.0


class Server:
    """A running Triton: its address, and its processes for tests that kill them."""

    def __init__(
        self,
        home: Path,
        repository: Path = REPOSITORY,
        port: int = 0,
        models: tuple[str, ...] = ("animatic",),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.triton = Triton(home, port or ports.free().triton_port, models=models, repository=repository)
        environment = {"PATH": os.environ["PATH"], **self.triton.environment(), **(settings or {})}
        home.mkdir(parents=True, exist_ok=True)
        certificates.make_triton(home)
        command, sweep = self.triton.command(), self.triton.command
        self.process = Process("triton", command, environment, home / "triton.log", ROOT, prepare=sweep)

    @property
    def address(self) -> str:
        """host:port of its gRPC."""
        return f"127.0.0.1:{self.triton.port}"

    @property
    def tls(self) -> tuple[bytes, bytes, bytes]:
        """What its one client shows it: (authority, certificate, key) in PEM."""
        return tls.of_triton(self.triton.certificates)

    def start(self) -> None:
        """Starts it and waits until the models are loaded."""
        self.process.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self.triton.ready():
            if not self.process.alive or time.monotonic() > deadline:
                raise RuntimeError(f"Triton did not start:\n{self.process.last_words()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends it and removes what it leaves in shared memory."""
        self.process.end(10)
        self.triton.sweep()

    def mend(self) -> None:
        """Start it again, as the supervisor does, if it died with its model: Triton 2.51 itself aborts at times when a
        stub is killed while they talk."""
        if not self.triton.ready() and self.process.wait(10):
            self.start()

    def model_processes(self) -> list[int]:
        """The process numbers of the models' Python stubs, children of the server."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                name = os.fsdecode((folder / "cmdline").read_bytes().split(b"\0")[0])
                if int(words[2]) == self.process.pid and name.endswith("triton_python_backend_stub"):
                    found.append(int(folder.name))
        return found

    def model_cpu_seconds(self) -> float:
        """The CPU time that the models' processes have used, all threads."""
        ticks = 0
        for number in self.model_processes():
            words = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(words[11]) + int(words[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(home: Path, repository: Path = REPOSITORY) -> Iterator[Server]:
    """A server that is ready, and gone afterwards."""
    server = Server(home, repository)
    try:
        server.start()
        yield server
    finally:
        server.stop()

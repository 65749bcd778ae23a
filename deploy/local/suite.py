"""The whole embedded suite, or some of its parts, as one object: for `make up`, `make demo`, and the tests.

    suite = Suite(home, ports=ports.free(), settings={"FILMGATE_LEASE_SECONDS": "4"})
    suite.start()
    suite.process("worker").kill(); suite.restart("worker")
    suite.stop()

Call it from the main thread: each process dies with the thread that launched it.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from deploy.local import certificates, config, listeners, migrations, ready, secret_files
from deploy.local.files import private_folder, socket_folder
from deploy.local.ports import Ports, taken
from deploy.local.postgres import SOCKET, Postgres
from deploy.local.process import Process
from deploy.local.triton import Triton, tracing
from services.generation.worker.config import WorkerSettings
from services.runtime.config import CANNOT, from_env

SERVICES = ("auth", "billing", "generation", "privacy")
COMMANDS = {
    **{name: (f"services.{name}", "serve") for name in SERVICES},
    "media": ("services.generation", "media"),
    "worker": ("services.generation", "work"),
}
NAMES = ("postgres", "triton", *COMMANDS, "envoy")
START_SECONDS = 60.0
LOAD_SECONDS = 900.0
"""Weights of many gigabytes come from a disk."""
# Each stage ends before the next: first who makes work, then who receives it, last what they all stand on.
STOP_STAGES = (("worker", "media", "generation"), ("envoy", "auth", "billing", "privacy", "triton"))


class SuiteError(Exception):
    """A part did not start; the message names it, its log and its last words."""


class Suite:
    """The parts called `names` (default: all), with data in `home`. `settings` override the processes' environment."""

    def __init__(
        self,
        home: Path,
        ports: Ports | None = None,
        settings: Mapping[str, str] | None = None,
        names: Iterable[str] = NAMES,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.home = private_folder(home)
        self.ports = ports or Ports()
        self.settings = dict(settings or {})
        self.names = [name for name in NAMES if name in set(names)]
        self.say = say
        self.postgres = Postgres(self.home)
        self.database_urls: dict[str, tuple[str, str]] = {}
        models = from_env(WorkerSettings, self.env("worker")).offered
        self._triton = Triton(self.home, self.ports.triton_port, models=models)
        self._patience = LOAD_SECONDS if any(model.startswith("wan") for model in models) else START_SECONDS
        self._processes: dict[str, Process] = {}
        self._began = time.monotonic()

    @property
    def url(self) -> str:
        """Where the outside world reaches the suite."""
        return f"http://127.0.0.1:{self.ports.edge_port}"

    @property
    def outbox(self) -> Path:
        """The folder of mails and messages, one file each."""
        return self.home / "outbox"

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin page."""
        return socket_folder(self.home, "envoy-admin.sock") / "envoy-admin.sock"

    def env(self, name: str) -> dict[str, str]:
        """The environment of the process `name`, as it gets it."""
        return {**config.environment(name, self.home, self.ports, self.database_urls), **self.settings}

    def process(self, name: str) -> Process:
        """The process `name`, to be killed, stopped and woken by a test. KeyError when it was never launched."""
        return self._processes[name]

    def start(self) -> None:
        """Start everything and wait until all of it is ready. On failure nothing is left running; raises SuiteError."""
        self._began = time.monotonic()
        try:
            self._lay_out()
            if "triton" in self.names:
                self.launch("triton")
            if "postgres" in self.names:
                self._start_databases()
            rest = [name for name in self.names if name not in ("postgres", "triton")]
            for name in rest:
                self.launch(name)
            self._wait_ready([name for name in self.names if name != "postgres"], self._patience)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Drain and end everything that runs, stage by stage. Harmless when nothing does."""
        for stage in STOP_STAGES:
            running = [self._processes[name] for name in stage if name in self._processes]
            for process in running:
                process.terminate()
            for process in running:
                process.finish()
        self.postgres.stop()
        if "triton" in self._processes:
            self._triton.sweep()

    def launch(self, name: str) -> None:
        """Start the process `name` and answer at once; a living one is left as it is."""
        process = self._processes.get(name) or self._make(name)
        if not process.alive:
            process.launch()

    def restart(self, name: str, seconds: float = START_SECONDS) -> None:
        """End what is left of `name`, start it again, and wait until it is ready."""
        if name == "postgres":
            self.postgres.stop()
            self.postgres.start()
            return
        self._processes[name].end()
        self._processes[name].launch()
        self._wait_ready([name], seconds)

    @property
    def launched(self) -> list[str]:
        """The names of the processes that were launched, PostgreSQL apart."""
        return list(self._processes)

    def answers(self, name: str) -> bool:
        """Whether the part `name` can serve, asked from outside: also for a suite of another process."""
        if name == "postgres":
            return ready.listens(self.postgres.sockets / SOCKET)
        if name == "envoy":
            return ready.envoy_live(self.admin_socket)
        if name == "triton":
            return self._triton.ready()
        return ready.healthy(self.ports.health(name))

    def models(self) -> dict[str, str]:
        """Return what Triton was told to load, as `ready.models`; also for a suite of another process."""
        return ready.models(self.ports.triton_port, self._triton.certificates)

    def serves(self, name: str, pid: int) -> bool:
        """Whether the part `name`, whose process is `pid`, can serve: it alone has its ports, and it answers.

        Another program on one of them could answer in its place. PostgreSQL has a socket in a folder of ours instead.
        """
        ports = self._ports_of(name).values()
        return (name == "postgres" or listeners.all_of(pid, ports)) and self.answers(name)

    def is_ready(self, name: str) -> bool:
        """Whether our own process `name` can serve. It lives before and after it is asked, so nobody took its ports."""
        process = self.postgres if name == "postgres" else self._processes[name]
        pid = process.pid
        return pid is not None and process.alive and self.serves(name, pid) and process.alive and process.pid == pid

    async def until_ready(self, name: str, seconds: float = START_SECONDS) -> None:
        """As restart's waiting, without blocking the event loop of a test."""
        deadline = time.monotonic() + seconds
        while not await asyncio.to_thread(self.is_ready, name):
            self._refuse_late(name, deadline)
            await asyncio.sleep(0.02)

    def tend(self) -> None:
        """Start again what has died. Call it a few times a second; it never waits long."""
        if "postgres" in self.names and not self.postgres.alive:
            self.say(f"postgres ended; it starts again; see {self.postgres.log}")
            self.postgres.stop()
            self.postgres.start()
            self.postgres.restarts += 1
        for process in self._processes.values():
            process.tend(self.say)

    def _lay_out(self) -> None:
        for name in ("logs", "run", "objects", "outbox"):
            private_folder(self.home / name)
        certificates.make(self.home)
        secret_files.make(self.home / "secrets", config.keys_folder(self.home))

    def _start_databases(self) -> None:
        self.postgres.start()
        self._told("postgres")
        needed = {config.DATABASE_OF[name] for name in self.names if name in config.DATABASE_OF}
        urls = {name: self.postgres.create_database(name) for name in sorted(needed)}
        self.database_urls = {name: urls[base] for name, base in config.DATABASE_OF.items() if base in urls}
        if migrations.run(self.home, {name: self._owner_env(name) for name in urls}):
            self._told("migrations")

    def _owner_env(self, name: str) -> dict[str, str]:
        return {**config.environment(name, self.home, self.ports, self.database_urls, owner=True), **self.settings}

    def _make(self, name: str) -> Process:
        environment = self.env(name)
        prepare: Callable[[], object] | None = None
        if name == "triton":
            traced = tracing(environment.get("FILMGATE_TRITON_OTLP_URL", ""))
            headers = {"OTEL_EXPORTER_OTLP_HEADERS": environment.get("FILMGATE_TRITON_OTLP_HEADERS", "")}
            command = [*self._triton.command(), *traced]
            environment = {**environment, **headers, **self._triton.environment()}
            prepare = self._triton.command  # sweeps what a killed one has left
        elif name == "envoy":
            command = self._envoy_command()
        else:
            command = [sys.executable, "-m", *COMMANDS[name]]
        log = self.home / "logs" / f"{name}.log"
        self._processes[name] = Process(name, command, environment, log, config.ROOT, prepare=prepare)
        return self._processes[name]

    def _envoy_command(self) -> list[str]:
        from deploy.local import envoy  # noqa: PLC0415  its configuration needs the generated code, which others do not

        return envoy.command(self.home, self.ports, self.admin_socket, self.env("envoy"))

    def _wait_ready(self, names: list[str], seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        waiting = list(names)
        while waiting:
            for name in list(waiting):
                if self.is_ready(name):
                    waiting.remove(name)
                    self._told(name)
                    if name == "triton":
                        self._tell_troubles()
                else:
                    self._refuse_late(name, deadline)
            time.sleep(0.02)

    def _refuse_late(self, name: str, deadline: float) -> None:
        process = self._processes[name]
        if name == "triton" and process.alive:
            self._refuse_empty(process)
        if process.alive and time.monotonic() < deadline:
            return
        ports = self._ports_of(name)
        lost = listeners.strangers(process.pid, ports.values())
        told = [taken(setting, number) for setting, number in ports.items() if number in lost]
        if not process.alive and not told:
            told = [sentence] if (sentence := _told_by(process)) else []
        if told:
            raise SuiteError(f"{name} cannot start: {' '.join(told)} (its log: {process.log})")
        fate = f"was not ready in time, its process is {'alive' if process.alive else process.ending()}"
        raise SuiteError(f"{name} {fate}. Its log is {process.log}:\n{process.last_words()}")

    def _ports_of(self, name: str) -> dict[str, int]:
        """The ports where `name` must listen, by their settings."""
        return self.ports.settings("edge" if name == "envoy" else name)

    def _refuse_empty(self, triton: Process) -> None:
        """A Triton that has tried all its models and has none will not become ready."""
        found = self.models()
        if found and "" not in found.values() and not any(why.startswith("LOADING") for why in found.values()):
            told = "\n".join(f"{model}: {why}" for model, why in found.items())
            raise SuiteError(f"Triton could load no model.\n{told}\nIts log is {triton.log}.")

    def _tell_troubles(self) -> None:
        for model, why in self._triton.troubles().items():
            self.say(f"  {model:<12} is not offered: {why}")

    def _told(self, name: str) -> None:
        self.say(f"  {name:<12} ready after {time.monotonic() - self._began:4.1f} s")


def _told_by(process: Process) -> str:
    """What an ended process said that a person must mend, "" for one that ended otherwise."""
    said = [line for line in process.last_words(3).splitlines() if line.startswith(CANNOT)]
    return said[-1].removeprefix(CANNOT) if said and process.status == 1 else ""

"""What is measured: the whole suite on ports of its own, customers, and a second edge in front of the floor."""

import asyncio
import contextlib
import dataclasses
import datetime
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg

from bench import machine
from deploy.local import config, envoy, ports, ready
from deploy.local.client import JSON, Client, Refused, new_phone
from deploy.local.files import private_folder, socket_folder
from deploy.local.ports import Ports
from deploy.local.process import Process
from deploy.local.suite import Suite
from services.generation.models import store as models
from services.runtime.database import Database

PROFILE = Path(__file__).with_name("profile.yaml")
HOME = Path(".filmgate") / "bench"
CUSTOMERS = 16
SETTINGS = {
    "FILMGATE_PROFILE": str(PROFILE.resolve()),
    "FILMGATE_EDGE_REQUESTS_PER_SECOND": "1000000",
}
"""Only limits are lifted: everything else is as `make up` runs it."""
MODEL, SECONDS = "animatic", 2
ORDER = {"model": MODEL, "prompt": "a quiet sea", "resolution": "480p", "duration_seconds": SECONDS}
REPORT_SECONDS = 5.0
_WAIT_SECONDS = 20.0
_BUSY = 503


class Customer(Client):
    """A customer with a key, which they use, and a session for what a key may not do."""

    def __init__(self, url: str, outbox: Path) -> None:
        super().__init__(url, outbox, timeout_seconds=60)
        self.session = ""

    async def __aenter__(self) -> "Customer":
        """Keep the connection open for the block."""
        return self

    async def sign_up(self, tries: int = 5) -> None:
        """Register, accept the policies, make a key, open the wallet; once more where the machine is too busy."""
        try:
            await self._sign_up()
        except Refused as refusal:
            if tries == 1 or refusal.status != _BUSY:
                raise
            await asyncio.sleep(1)
            await self.sign_up(tries - 1)

    async def _sign_up(self) -> None:
        self.credential = ""
        await self.register(new_phone())
        self.session = self.credential
        await self.accept_policies()
        await self.make_key("bench")
        await self.call("GET", "/v1/wallet")

    async def until_settled(self, video: str, seconds: float = 60) -> JSON:
        """Watch a video until its end; returns it. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            async for event in self.watch(video):
                if event.get("final"):
                    return dict(event["video"])
        raise RuntimeError("the watch ended without a final event")


@dataclasses.dataclass
class Stage:
    """The running suite and who uses it. `floor_url` is the edge in front of the floor."""

    suite: Suite
    customers: list[Customer]
    floor_url: str
    floor: dict[str, Process]
    folder: Path

    def roots(self, *more: str) -> dict[str, int]:
        """Return the process numbers of all parts that run, by name; `more` names parts of the floor."""
        suite = self.suite
        living = {name: suite.process(name).pid for name in suite.launched if suite.process(name).alive}
        living |= {"postgres": suite.postgres.pid} | {name: self.floor[name].pid for name in more}
        return {name: pid for name, pid in living.items() if pid is not None}

    def cpu(self, *more: str) -> dict[str, float]:
        """Return the CPU seconds of all parts so far."""
        return machine.cpu_seconds(self.roots(*more))

    def database_url(self, name: str) -> str:
        """Return a database's URL for asyncpg, as its owner."""
        return self.suite.database_urls[name][0].replace("+asyncpg", "")


@contextlib.contextmanager
def fresh_home() -> Iterator[Path]:
    """An empty home on the same disk as that of `make up`, with its keys beside it; both are removed at the end."""
    private_folder(HOME.parent)
    home = HOME.absolute()
    _remove(home)
    try:
        yield home
    finally:
        _remove(home)


def _remove(home: Path) -> None:
    for folder in (home, config.keys_folder(home)):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def stage(home: Path, chosen: Ports, customers: int = CUSTOMERS) -> AsyncIterator[Stage]:
    """Run the suite in `home` until the end of the block, with customers and the floor."""
    suite = Suite(home, ports=chosen, settings=SETTINGS)
    floor: dict[str, Process] = {}
    suite.start()
    try:
        url = _start_floor(suite, floor)
        async with contextlib.AsyncExitStack() as stack:
            made: list[Customer] = [
                await stack.enter_async_context(Customer(suite.url, suite.outbox)) for _ in range(customers)
            ]
            for client in made:
                await client.sign_up()
            yield Stage(suite, made, url, floor, private_folder(home / "plans"))
    finally:
        for process in floor.values():
            process.end()
        suite.stop()


def _start_floor(suite: Suite, floor: dict[str, Process]) -> str:
    """Start the empty upstream and an Envoy with the suite's own configuration, but for generation's address."""
    chosen, home = ports.free(), private_folder(suite.home / "floor")
    edge = dataclasses.replace(suite.ports, edge_port=chosen.edge_port, generation_port=chosen.generation_port)
    private_folder(home / "run")
    (home / "certs").symlink_to(suite.home / "certs")
    admin = socket_folder(home, "envoy-admin.sock") / "envoy-admin.sock"
    commands = {
        "floor": [sys.executable, "-m", "bench.floor", str(edge.generation_port), str(home / "certs")],
        "floor_envoy": envoy.command(home, edge, admin, SETTINGS),
    }
    for name, command in commands.items():
        floor[name] = Process(name, command, suite.env("generation"), suite.home / "logs" / f"{name}.log", config.ROOT)
        floor[name].launch()
    deadline = time.monotonic() + _WAIT_SECONDS
    while not (ready.envoy_live(admin) and _listens(edge.generation_port)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the floor did not start: {[process.last_words() for process in floor.values()]}")
        time.sleep(0.05)
    return f"http://127.0.0.1:{edge.edge_port}"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.asynccontextmanager
async def without_model(stage: Stage) -> AsyncIterator[None]:
    """Stop the worker and Triton, and report in the worker's place that one instance is loaded.

    The CPU model would take one of the two cores; on a real deployment it runs on a GPU elsewhere. Orders then stay
    queued, and their jobs are not worked off.
    """
    for name in ("worker", "triton"):
        stage.suite.process(name).end()
    database = Database(stage.suite.database_urls["generation"][1], pool_size=1)

    async def report() -> None:
        while True:
            async with database.transaction() as session:
                await models.report(session, MODEL, "bench", 1, datetime.datetime.now(datetime.UTC))
            await asyncio.sleep(REPORT_SECONDS)

    reporting = asyncio.create_task(report())
    try:
        await asyncio.sleep(0.5)
        yield
    finally:
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)
        await database.close()


@contextlib.asynccontextmanager
async def connected(stage: Stage, database: str) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection to one database as its owner, to look at rows."""
    connection = await asyncpg.connect(stage.database_url(database))
    try:
        yield connection
    finally:
        await connection.close()

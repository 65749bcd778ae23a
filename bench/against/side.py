"""One commit under measurement: its running suite, its customers, and what its processes have used."""

import asyncio
import contextlib
import datetime
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from bench import machine
from bench.against import names
from bench.load import Request
from bench.stage import MODEL, REPORT_SECONDS, Customer
from deploy.local import config
from deploy.local.files import private_folder

CUSTOMERS = 16
READY_SECONDS = 180.0
_PLATFORM = ("auth", "billing", "generation", "media", "worker", "envoy", "postgres", "privacy")
_HOST = Path(__file__).with_name("host.py")


class Side:
    """A suite that runs in another process, from the files of its own commit at `root`."""

    def __init__(self, root: Path, home: Path, process: asyncio.subprocess.Process) -> None:
        self.home = home
        self.names = names.Names(root / "gen")
        self.folder = private_folder(home / "plans")
        self.customers: list[Customer] = []
        self.parts: dict[str, int] = {}
        self.ports: dict[str, int] = {}
        self.databases: dict[str, str] = {}
        self.film = ""
        self.polled: list[Request] = []
        self.wallets: list[str] = []
        self.held: list[str] = []
        self._process = process

    async def learn(self) -> None:
        """Read what the host says of the running suite. Raises RuntimeError when it ended or is silent for too long."""
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        async with asyncio.timeout(READY_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the suite of {self.home} did not start; its own words stand above")
        told = json.loads(line)
        self.url, self.outbox = told["url"], Path(told["outbox"])
        self.parts, self.ports, self.databases = told["parts"], told["ports"], told["databases"]

    async def halt_model(self) -> None:
        """End worker and Triton: orders then stay queued."""
        await self._order("halt")
        await self.learn()

    def cpu(self, *parts: str) -> float:
        """Return the CPU seconds so far of these parts; of all but Triton when none is named."""
        used = machine.cpu_seconds({name: pid for name, pid in self.parts.items() if name in (parts or _PLATFORM)})
        return sum(used.values())

    @contextlib.asynccontextmanager
    async def reporting(self) -> AsyncIterator[None]:
        """Report for the length of the block that one instance of the model is loaded."""
        connection = await asyncpg.connect(self.databases["generation"])
        statements = await _known(connection)
        task = asyncio.create_task(_report(connection, statements))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await connection.close()

    async def stop(self) -> None:
        """End the suite and its host."""
        with contextlib.suppress(ConnectionError):
            await self._order("stop")
        await self._process.wait()

    async def _order(self, word: str) -> None:
        assert self._process.stdin is not None  # noqa: S101  it is a pipe
        self._process.stdin.write(f"{word}\n".encode())
        await self._process.stdin.drain()


@contextlib.asynccontextmanager
async def running(name: str, root: Path) -> AsyncIterator[Side]:
    """Run the suite of the commit in `root` for the block, with customers that have a key."""
    home = (private_folder(config.ROOT / ".filmgate") / f"against-{name}").absolute()
    _remove(home)
    try:
        side = Side(root, home, await _host(root, home))
        try:
            await side.learn()
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(CUSTOMERS):
                    customer = await stack.enter_async_context(Customer(side.url, side.outbox))
                    await customer.sign_up()
                    side.customers.append(customer)
                yield side
        finally:
            await side.stop()
    finally:
        _remove(home)


async def _host(root: Path, home: Path) -> asyncio.subprocess.Process:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "FILMGATE_"))}
    return await asyncio.create_subprocess_exec(
        str(root / ".venv" / "bin" / "python"), str(_HOST), str(home), str(root / "bench" / "profile.yaml"),
        *names.modules(root), cwd=root, env=own | {"PYTHONPATH": f"{root}:{root / 'gen'}"},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=sys.stderr,
    )  # fmt: skip


async def _known(connection: asyncpg.Connection) -> list[str]:
    """Return the newest statements of the report that this side's tables know. Raises Unknown."""
    for form in names.reports():
        with contextlib.suppress(asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
            for statement in form:
                await connection.prepare(statement)
            return form
    raise names.Unknown("names.yaml: no form of `report` fits the tables of this commit")


async def _report(connection: asyncpg.Connection, statements: list[str]) -> None:
    while True:
        for statement in statements:
            await connection.execute(statement, MODEL, datetime.datetime.now(datetime.UTC))
        await asyncio.sleep(REPORT_SECONDS)


def _remove(home: Path) -> None:
    for folder in (home, config.keys_folder(home)):
        shutil.rmtree(folder, ignore_errors=True)

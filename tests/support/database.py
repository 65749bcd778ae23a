"""Real PostgreSQL for tests: one server per run, a migrated template per service, a fresh copy of it per test."""

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from deploy.local.postgres import Postgres
from services.runtime import database

_numbers = itertools.count(1)


class Server:
    """The PostgreSQL of a test run; starts at its first use."""

    def __init__(self) -> None:
        self._home: Path | None = None
        self._postgres: Postgres | None = None
        self._templates: set[str] = set()

    @property
    def postgres(self) -> Postgres:
        """The running server, without fsync: no test run is worth a disk's wait."""
        if self._postgres is None:
            self._home = _fresh_home()
            self._postgres = Postgres(self._home)
            self._postgres.start()
            self._postgres.sql("ALTER SYSTEM SET fsync = off")
            self._postgres.sql("SELECT pg_reload_conf()")
        return self._postgres

    def template(self, service: str, build: Callable[[str], Awaitable[None]] | None = None) -> str:
        """Return the name of the template of a service, made at first use by running its migrations.

        `build` (given the owner URL) makes a template of another kind, such as a toy's.
        """
        name = f"template_{service}"
        if service not in self._templates:
            owner, _ = self.postgres.create_database(name)
            _run(build(owner) if build else database.migrate(owner, service))
            self._templates.add(service)
        return name

    def urls(self, service: str, build: Callable[[str], Awaitable[None]] | None = None) -> tuple[str, str]:
        """Make a fresh database of a service; answers (owner URL, service URL)."""
        template, name = self.template(service, build), f"{service}_{next(_numbers)}"
        self.postgres.sql(
            f"CREATE DATABASE {name} OWNER {template}_owner TEMPLATE {template} STRATEGY FILE_COPY;"
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {template}_service"
        )
        return self.postgres.url(f"{template}_owner", name), self.postgres.url(f"{template}_service", name)

    @contextlib.asynccontextmanager
    async def database(
        self, service: str, build: Callable[[str], Awaitable[None]] | None = None
    ) -> AsyncIterator[database.Database]:
        """Open a fresh database of a service as its service role; it is dropped at the end."""
        _, url = self.urls(service, build)
        opened = database.Database(url)
        try:
            yield opened
        finally:
            await opened.close()
            self.postgres.drop_database(url.rpartition("@/")[2].partition("?")[0])

    def stop(self) -> None:
        """End the server and remove its data."""
        if self._postgres is not None and self._home is not None:
            self._postgres.stop()
            shutil.rmtree(self._home, ignore_errors=True)


def _fresh_home() -> Path:
    """A folder in memory where there is one (a copy of a template is 300 small files); those of killed runs go."""
    memory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())  # noqa: S108  private
    for left in memory.glob("filmgate-test-pg-*"):
        pid = left.name.split("-")[3]
        if left.owner() == Path.home().owner() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"filmgate-test-pg-{os.getpid()}-", dir=memory))


def _run(work: Awaitable[None]) -> None:
    """Run a coroutine in a loop of its own, since the test's loop is running."""
    faults: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(_whole(work))
        except BaseException as fault:  # noqa: BLE001  it is raised again in the thread that waits
            faults.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if faults:
        raise faults[0]


async def _whole(work: Awaitable[None]) -> None:
    await work

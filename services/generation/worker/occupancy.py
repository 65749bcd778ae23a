"""Who runs on one Triton at the moment: together, or alone to find out who it is that kills it."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable


@dataclasses.dataclass(eq=False)
class Run:
    """One video on the server. `shared` says that another one's connection broke beside it; `mended` how often the
    server's models had been loaded anew when it came; `waited` that others were there when it came, who may have
    left a dead server behind."""

    mended: int
    waited: bool = False
    shared: bool = False


class ServerOccupancy:
    """The server's runs. Who wants it alone waits until the others have left, and lets nobody in before."""

    def __init__(self) -> None:
        self._runs: set[Run] = set()
        self._wanted = 0  # by so many for themselves, those who have it included
        self._mending = 0
        self._mended = 0
        self._mender = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def enter(self, *, alone: bool) -> AsyncIterator[Run]:
        """Be on the server for the block: with others, or alone."""
        self._wanted += alone
        run, waited = None, False
        try:
            while self._mending or (self._runs if alone else self._wanted):
                waited = True
                await self._changed.wait()
            run = Run(self._mended, waited)
            self._runs.add(run)
            yield run
        finally:
            self._wanted -= alone
            self._leave(run)

    def fell(self, run: Run) -> bool:
        """Note that the server broke off while `run` was on it; returns whether it was alone there.

        Streams that broke together are seen one after the other, so the others are told.
        """
        others = self._runs - {run}
        for other in others:
            other.shared = True
        return not others and not run.shared

    async def mend(self, run: Run, load: Callable[[], Awaitable[None]]) -> None:
        """Have the server's models loaded anew by `load`, once all runs have left, since it ends them; nobody enters
        meanwhile. Done at most once for those who came before it, and to its end, whoever is cancelled."""
        self._mending += 1
        self._leave(run)
        task = asyncio.create_task(self._mend(run, load))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _mend(self, run: Run, load: Callable[[], Awaitable[None]]) -> None:
        try:
            while self._runs:
                await self._changed.wait()
            async with self._mender:
                if run.mended == self._mended:
                    await load()
                    self._mended += 1
        finally:
            self._mending -= 1
            self._leave(None)

    def _leave(self, run: Run | None) -> None:
        if run is not None:
            self._runs.discard(run)
        self._changed.set()
        self._changed = asyncio.Event()

"""A TCP proxy between two processes of the suite: it passes, delays and trickles, or is down, as a network can be."""

import asyncio
import contextlib
from collections.abc import Callable

PIECE = 512  # bytes that pass at once while it is slow


class Proxy:
    """Listens on `port` of the loopback and passes on to `target`, another port of it."""

    def __init__(self, port: int, target: int) -> None:
        self._port, self._target = port, target
        self._delay: Callable[[], float] | None = None
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def up(self) -> None:
        """Take connections, and pass at once."""
        self._delay = None
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)

    def slow(self, delay: Callable[[], float]) -> None:
        """From now on hold up each piece by `delay()` seconds, in both directions."""
        self._delay = delay

    async def down(self) -> None:
        """Break every connection, and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in list(self._passing):
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        try:
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_connection("127.0.0.1", self._target)
                try:
                    await _first(self._pass(reader, back), self._pass(there, writer))
                finally:
                    back.transport.abort()
        except asyncio.CancelledError:
            pass  # down: the one who waits for this task has cancelled it
        finally:
            writer.transport.abort()
            self._passing.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE if self._delay else 65536):
                if self._delay:
                    await asyncio.sleep(self._delay())
                writer.write(data)
                await writer.drain()


async def _first(*ways: object) -> None:
    """Pass both ways until one has ended."""
    tasks = [asyncio.ensure_future(way) for way in ways]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

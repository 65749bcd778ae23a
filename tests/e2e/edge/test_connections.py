"""How many connections one client address may hold open (S5): one too many is closed at once, and harms nobody else."""

import contextlib
import select
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.edge import Edge
from tests.support.waiting import until

LIMIT, MANY = 256, 300
SECONDS = 60
ASKED = b"GET /v1/videos/vid_1 HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n"


@contextlib.contextmanager
def started(shorter: int = 1, **settings) -> Iterator[Edge]:
    """An edge of one's own. The seed decides which addresses are counted together: these are not.

    `shorter` divides the times of 60 s for who does nothing.
    """
    home = Path(tempfile.mkdtemp(prefix="fg-edge-"))
    running = Edge(home, requests_per_second=10_000, seed=1, **settings)
    text = (home / "envoy.yaml").read_text()
    short = text.replace("idle_timeout: 60s", f"idle_timeout: {60 // shorter}s")
    short = short.replace("int_value: 60000", f"int_value: {60_000 // shorter}")
    assert short != text or shorter == 1
    (home / "envoy.yaml").write_text(short)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def limited() -> Iterator[Edge]:
    with started() as running:
        yield running


def connect(edge: Edge, stack: ExitStack, count: int, source: str = "127.0.0.1") -> list[socket.socket]:
    """Open so many connections from an address, and send nothing on them."""
    made = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", edge.ports.edge_port), SECONDS, (source, 0))
        made.append(stack.enter_context(connection))
    return made


def closed(connections: list[socket.socket]) -> list[socket.socket]:
    """Those that the edge has closed: nothing was asked, so all that can be read is the end."""
    watched = select.poll()
    for connection in connections:
        watched.register(connection, select.POLLIN)
    ended = {number for number, _ in watched.poll(0)}
    return [connection for connection in connections if connection.fileno() in ended]


def ask(connection: socket.socket) -> bytes:
    """Ask on a connection; returns the beginning of the answer, nothing where it was closed."""
    with contextlib.suppress(ConnectionError):
        connection.sendall(ASKED)
        return connection.recv(65536)
    return b""


async def test_an_address_holds_so_many_connections_and_no_more(limited):
    with ExitStack() as stack:
        mine = connect(limited, stack, MANY)
        await until(lambda: len(closed(mine)) == MANY - LIMIT, SECONDS)
        refused = closed(mine)
        assert all(ask(connection) == b"" for connection in refused)
        held = [connection for connection in mine if connection not in refused]
        for connection in (held[0], held[-1]):
            assert ask(connection).startswith(b"HTTP/1.1 200 ")
        for source in ("127.0.0.2", "127.0.0.3", "127.1.2.3"):
            (other,) = connect(limited, stack, 1, source)
            assert ask(other).startswith(b"HTTP/1.1 200 ")
            assert limited.calls[-1].headers["x-filmgate-address"] == source
        assert len(closed(held)) == 0, "who is within the limit keeps what they have"
        held[0].close()
        await until(lambda: _answered(limited), SECONDS)


async def test_the_limit_is_of_open_connections_and_not_of_those_ever_made(limited):
    for _ in range(MANY):
        await until(lambda: _answered(limited), SECONDS)


async def test_a_trusted_proxy_holds_as_many_as_it_likes():
    with started(trusted_proxies=1) as running, ExitStack() as stack:
        its = connect(running, stack, MANY)
        for connection in its:
            assert ask(connection).startswith(b"HTTP/1.1 200 ")
        assert running.calls[-1].headers["x-filmgate-address"] == "198.51.100.7"
        assert closed(its) == []


async def test_the_limit_is_a_setting():
    with started(connections_per_address=3) as running, ExitStack() as stack:
        mine = connect(running, stack, 8)
        await until(lambda: len(closed(mine)) == 5, SECONDS)


async def test_who_takes_nothing_of_an_answer_gives_the_place_back():
    """HTTP's own times end at the listener behind; what it had sent on would be kept for the client for ever.

    With the product's times divided by 30, so that nobody waits for a minute.
    """
    with started(shorter=30) as running, ExitStack() as stack:
        running.content = "x" * 2**20
        (unread,) = connect(running, stack, 1)
        unread.sendall(b"GET /docs HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: _active(running) == 1, SECONDS)
        await until(lambda: _active(running) == 0, SECONDS)


def _active(edge: Edge) -> int:
    """How many connections the edge counts."""
    transport = httpx.HTTPTransport(uds=str(edge.settings.admin_socket))
    with httpx.Client(transport=transport, base_url="http://admin") as admin:
        text = admin.get("/stats", params={"filter": "connection_limit.address.active_connections"}).text
    return int(text.rpartition(" ")[2])


def _answered(edge: Edge) -> bool:
    """Whether a new connection gets an answer."""
    with ExitStack() as stack:
        (connection,) = connect(edge, stack, 1)
        return ask(connection).startswith(b"HTTP/1.1 200 ")

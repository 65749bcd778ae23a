"""Who listens on a port, of real sockets: our process, a child of it, this test as a stranger, another user."""

import contextlib
import os
import pwd
import socket
import sys

import pytest

from deploy.local import listeners, ports
from deploy.local.process import Process
from tests.support import nobody
from tests.support.waiting import until

LISTENS = """
import os, signal, socket, sys
held = socket.socket(); held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
held.bind(("127.0.0.1", int(sys.argv[1]))); held.listen()
if sys.argv[2] == "child" and os.fork():
    held.close()
signal.pause()
"""


@pytest.fixture
def port():
    return ports.free().auth_port


@pytest.fixture
def start(tmp_path):
    """Start a program of ours that listens on a port, itself or by a `child`."""
    with contextlib.ExitStack() as stack:

        def launch(port, who="itself"):
            command = [sys.executable, "-c", LISTENS, str(port), who]
            process = Process("toy", command, {"PATH": os.environ["PATH"]}, tmp_path / f"{port}.log", tmp_path)
            stack.callback(process.end)
            process.launch()
            return process

        yield launch


@contextlib.contextmanager
def listening(address, port, family=socket.AF_INET):
    with socket.socket(family) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((address, port))
        held.listen()
        yield held


@pytest.mark.parametrize("who", ["itself", "child"])
async def test_a_port_belongs_to_our_process_and_its_children(start, port, who):
    assert not listeners.all_of(1, [port]), "nobody listens"
    process = start(port, who)
    await until(lambda: listeners.all_of(process.pid, [port]), what="it listens")
    assert listeners.strangers(process.pid, [port]) == []
    assert listeners.strangers(None, [port]) == [port]


async def test_every_port_must_be_listened_on(start, port):
    process = start(port)
    await until(lambda: listeners.all_of(process.pid, [port]), what="it listens")
    assert not listeners.all_of(process.pid, [port, ports.free().auth_port])


async def test_a_port_of_another_process_is_not_ours(start, port):
    process = start(port)
    await until(lambda: listeners.all_of(process.pid, [port]), what="it listens")
    other = ports.free().auth_port
    with listening("127.0.0.1", other):
        assert not listeners.all_of(process.pid, [other])
        assert not listeners.all_of(process.pid, [port, other])
        assert listeners.strangers(process.pid, [port, other]) == [other]


async def test_a_port_that_is_shared_with_another_process_is_not_ours(start, port):
    """By SO_REUSEPORT, which Envoy sets: the kernel deals the connections out among both."""
    process = start(port)
    await until(lambda: listeners.all_of(process.pid, [port]), what="it listens")
    with listening("127.0.0.1", port):
        assert not listeners.all_of(process.pid, [port])
        assert listeners.strangers(process.pid, [port]) == [port]


@pytest.mark.parametrize(
    ("address", "family"),
    [
        ("127.0.0.1", socket.AF_INET),
        ("0.0.0.0", socket.AF_INET),
        ("::ffff:127.0.0.1", socket.AF_INET6),
        ("::", socket.AF_INET6),
    ],
)
def test_whatever_takes_loopback_connections_is_found(port, address, family):
    with listening(address, port, family) as held:
        with socket.create_connection(("127.0.0.1", port), timeout=30):
            pass
        [found] = listeners.on([port])
        assert found == (port, os.getuid(), os.fstat(held.fileno()).st_ino)


def test_an_exact_address_goes_before_all_addresses(port):
    with listening("0.0.0.0", port), listening("127.0.0.1", port) as exact:
        [found] = listeners.on([port])
        assert found.inode == os.fstat(exact.fileno()).st_ino


def test_another_loopback_address_takes_no_connection_of_ours(port):
    with listening("127.0.0.2", port):
        assert listeners.on([port]) == []


@nobody.needs_root
def test_another_user_is_named_by_number(port):
    with nobody.listens(port):
        [found] = listeners.on([port])
    assert found.uid == nobody.USER
    assert pwd.getpwuid(found.uid).pw_name == "nobody"


@nobody.needs_root
def test_an_ordinary_user_knows_a_part_that_hides_its_open_files():
    """Media does, so that no decoder reads its memory (S9); `make up` of an ordinary user starts it all the same."""
    chosen = ports.free()
    own, other, foreign = [chosen.media_port, chosen.media_health_port], chosen.auth_port, chosen.edge_port
    with listening("127.0.0.1", foreign):
        found = nobody.asks("hides", own, other, foreign)
    assert found == {"own": True, "with another": False, "with root": False, "strangers": sorted([other, foreign])}

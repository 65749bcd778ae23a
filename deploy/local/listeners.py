"""Which processes listen on a loopback port, as /proc tells: an answer from a port does not say whose it is.

Any user of the machine may listen on a port that is free. So we trust what answers there, and tell it a password, only
while every socket that takes connections to 127.0.0.1 on that port is held by a process that we started (review S2).
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
TABLES = ("net/tcp", "net/tcp6")
LISTEN = "0A"
"""TCP_LISTEN of the kernel's include/net/tcp_states.h, as proc(5) prints it."""


class Listener(NamedTuple):
    """A socket that takes connections: its port, the user that made it, and its inode, which names it in /proc."""

    port: int
    uid: int
    inode: int


def on(ports: Iterable[int]) -> list[Listener]:
    """Return the sockets that take the connections to 127.0.0.1 on these ports.

    For each port these are the sockets bound to 127.0.0.1 itself; those of all addresses only where there are none,
    since the kernel prefers the exact address.
    """
    wanted, exact, wide = set(ports), [], []
    for address, listener in _listening():
        if listener.port in wanted and address in LOOPBACK:
            exact.append(listener)
        elif listener.port in wanted and address in ANY:
            wide.append(listener)
    preferred = {listener.port for listener in exact}
    return exact + [listener for listener in wide if listener.port not in preferred]


def all_of(pid: int, ports: Iterable[int]) -> bool:
    """Whether on each of these ports somebody listens, and nobody but the process `pid` and its session.

    A process that we start leads a session of its own (see process.py).
    """
    wanted = set(ports)
    found = on(wanted)
    return {listener.port for listener in found} == wanted and not _foreign(pid, found)


def strangers(pid: int | None, ports: Iterable[int]) -> list[int]:
    """Return those of these ports, in ascending order, where another than the process `pid` and its session listens."""
    return sorted({listener.port for listener in _foreign(pid, on(ports))})


def _foreign(pid: int | None, found: Iterable[Listener]) -> list[Listener]:
    """Return those that are not of the session `pid`.

    A process that is not dumpable, as media is (S9), shows its open files to root alone. For an ordinary user its
    sockets are then those of this same user that no process with open files to be seen holds.
    """
    own, others, hidden = _sockets(pid)
    left = [listener for listener in found if listener.inode not in own]
    if not hidden:
        return left
    return [listener for listener in left if listener.uid != os.geteuid() or listener.inode in others]


def _spelled(address: str) -> str:
    """An IPv6 address as /proc/net/tcp6 has it: four words in the byte order of this machine."""
    return "".join(f"{word:08X}" for word in struct.unpack("=4I", socket.inet_pton(socket.AF_INET6, address)))


LOOPBACK = {_spelled("::ffff:127.0.0.1"), _spelled("::ffff:127.0.0.1")[-8:]}
"""gRPC binds an IPv4 address as an IPv6 one that is mapped."""
ANY = {_spelled("::"), _spelled("::ffff:0.0.0.0"), _spelled("::")[-8:]}


def _listening() -> Iterator[tuple[str, Listener]]:
    for table in TABLES:
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6 has no tcp6
            for line in (PROC / table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == LISTEN:
                    address, port = columns[1].split(":")
                    yield address, Listener(int(port, 16), int(columns[7]), int(columns[9]))


def _sockets(session: int | None) -> tuple[set[int], set[int], bool]:
    """Return the inodes of the sockets that the processes of a session hold, those that others hold, as far as they
    are shown to us, and whether a process of the session does not show its own."""
    own: set[int] = set()
    others: set[int] = set()
    hidden = False
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                ours = os.getsid(int(entry.name)) == session
                try:
                    (own if ours else others).update(_held(entry / "fd"))
                except PermissionError:
                    hidden = hidden or ours
    return own, others, hidden


def _held(descriptors: Path) -> Iterator[int]:
    for descriptor in descriptors.iterdir():
        with contextlib.suppress(OSError):  # it was closed meanwhile
            kind, _, rest = os.readlink(descriptor).partition(":[")
            if kind == "socket":
                yield int(rest.rstrip("]"))

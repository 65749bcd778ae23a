"""A taken port is reported with the setting that changes it."""

import contextlib
import dataclasses
import random
import socket
import subprocess
import sys

import pytest

from deploy.local import ports
from deploy.observability.local import WatchPorts

HOLDER = """
import sys
from deploy.local import ports
held = 0
try:
    for _ in range(3):
        ports.free(range(*map(int, sys.argv[1:])))
        held += 1
except OSError:
    pass
print(held, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def taken():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_free_ports_have_no_faults():
    assert list(ports.faults(ports.free())) == []


def test_a_taken_port_names_its_setting(taken):
    found = list(ports.faults(dataclasses.replace(ports.free(), auth_health_port=taken)))
    assert found == [f"Port {taken} is taken by another program; set FILMGATE_AUTH_HEALTH_PORT to a free one."]


def test_one_port_for_two_listeners_is_reported():
    chosen = ports.free()
    (found,) = ports.faults(dataclasses.replace(chosen, triton_port=chosen.edge_port))
    assert "FILMGATE_TRITON_PORT and FILMGATE_EDGE_PORT" in found


def test_each_name_has_its_port():
    assert (ports.Ports().of("edge"), ports.Ports().of("triton"), ports.Ports().health("worker")) == (8080, 8120, 8116)


@contextlib.contextmanager
def other(within):
    """Another process, as another suite's, that takes up to three blocks of a range; yields how many it got."""
    command = [sys.executable, "-c", HOLDER, str(within.start), str(within.stop)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        yield int(holder.stdout.readline())
        holder.kill()


@pytest.fixture
def two_blocks():
    """A range of two blocks that nobody uses, and no other run of these tests is likely to draw."""
    while True:
        start = random.randrange(10000, 17000)  # noqa: S311  no secret
        within = range(start, start + 2 * ports.BLOCK)
        if not any(ports._taken(number) for number in within):
            return within


def test_no_two_processes_get_the_same_ports(two_blocks):
    """Though none of them listens yet; the ports are free again when their process has ended, however it does."""
    with other(two_blocks) as got:
        assert got == 2
        with pytest.raises(OSError, match=f"from {two_blocks[0]} to {two_blocks[-1]}"):
            ports.free(two_blocks)
    chosen = [dataclasses.astuple(ports.free(two_blocks)) for _ in range(2)]
    assert sorted(chosen[0] + chosen[1]) == list(two_blocks)


def test_a_block_with_a_port_that_somebody_uses_is_left_out(two_blocks):
    first, second = two_blocks[: ports.BLOCK], two_blocks[ports.BLOCK :]
    with socket.create_server(("127.0.0.1", first[3])):
        assert dataclasses.astuple(ports.free(two_blocks)) == tuple(second)
        with pytest.raises(OSError, match="no 20 free ports"):
            ports.free(two_blocks)
    assert dataclasses.astuple(ports.free(two_blocks)) == tuple(first)


def test_the_ports_of_telemetry_are_looked_at_with_the_others(taken):
    chosen = ports.free()
    own = WatchPorts(prometheus_port=chosen.edge_port, traces_port=taken)
    assert list(ports.faults(chosen, own)) == [
        f"FILMGATE_PROMETHEUS_PORT and FILMGATE_EDGE_PORT are both {chosen.edge_port}; choose another.",
        f"Port {taken} is taken by another program; set FILMGATE_TRACES_PORT to a free one.",
    ]


def test_a_part_listens_on_its_own_ports():
    chosen = ports.Ports(media_metrics_port=0)
    assert chosen.settings("auth") == {
        "FILMGATE_AUTH_PORT": 8101, "FILMGATE_AUTH_HEALTH_PORT": 8111, "FILMGATE_AUTH_METRICS_PORT": 8131,
    }  # fmt: skip
    assert chosen.settings("media") == {"FILMGATE_MEDIA_PORT": 8105, "FILMGATE_MEDIA_HEALTH_PORT": 8115}
    assert chosen.settings("edge") == {"FILMGATE_EDGE_PORT": 8080, "FILMGATE_EDGE_METRICS_PORT": 8130}
    assert chosen.settings("triton") == {"FILMGATE_TRITON_PORT": 8120}

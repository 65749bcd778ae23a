"""A part is ready when our own process answers, not when another program on its port does; a lost port is named."""

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from deploy.local import ports
from deploy.local.suite import Suite, SuiteError
from tests.support.waiting import until


@contextlib.contextmanager
def another_suite(port):
    """A health page of another suite, which says that all is well."""
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    page = health.HealthServicer()
    page.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(page, server)
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    server.start()
    yield
    server.stop(0).wait()


@contextlib.contextmanager
def program(port):
    """Some program that listens."""
    with socket.create_server(("127.0.0.1", port)):
        yield


@pytest.mark.parametrize(
    ("part", "field", "other"),
    [
        ("media", "media_health_port", another_suite),
        ("media", "media_port", program),
        ("media", "media_metrics_port", program),
        ("envoy", "edge_port", program),
        ("triton", "triton_port", program),
    ],
)
def test_a_part_whose_port_is_lost_does_not_start_and_names_it(tmp_path, part, field, other):
    said = []
    suite = Suite(tmp_path / ".filmgate", ports.free(), names=[part], say=said.append)
    port = getattr(suite.ports, field)
    with other(port), pytest.raises(SuiteError) as fault:
        suite.start()
    setting = f"FILMGATE_{field.upper()}"
    assert f"{part} cannot start: Port {port} is taken by another program; set {setting}" in str(fault.value)
    assert not any("ready" in line for line in said)


async def test_a_part_that_shares_its_port_is_not_ready(tmp_path):
    """Two Envoys of one user can: the kernel gives each some of the connections."""
    suite = Suite(tmp_path / ".filmgate", ports.free(), names=["envoy"])
    try:
        suite.start()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(("127.0.0.1", suite.ports.edge_port))
            other.listen()
            assert suite.answers("envoy")
            assert not suite.is_ready("envoy")
        await until(lambda: suite.is_ready("envoy"), what="it has its port alone")
        assert not suite.serves("envoy", 1), "another process"
    finally:
        suite.stop()

"""The kubelet's question to a Triton on loopback, without a gRPC client."""

import socket
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from deploy.local.certificates import triton_folder
from services.generation.triton import probe
from tests.support import tls

FOLDER = triton_folder(tls.home())
SYSTEM_PYTHON = "/usr/bin/python3"


def asked(what: str, port: int, folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask as a kubelet does: with the system's python3 and its standard library alone."""
    command = [SYSTEM_PYTHON, "-I", "-S", str(Path(probe.__file__)), what, str(folder), str(port)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)


@pytest.fixture
def closed_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_a_triton_with_its_models_is_live_and_ready(triton_server):
    for what in ("live", "ready"):
        done = asked(what, triton_server.triton.port, triton_server.triton.certificates)
        assert (done.returncode, done.stderr) == (0, "")


def test_one_that_does_not_listen_yet_is_live_and_not_ready(closed_port):
    assert probe.status(closed_port, probe.trust(FOLDER)) is None
    assert asked("live", closed_port, FOLDER).returncode == 0
    assert asked("ready", closed_port, FOLDER).returncode == 1


def test_who_is_not_the_worker_cannot_ask(triton_server):
    done = asked("live", triton_server.triton.port, FOLDER)
    assert (done.returncode, done.stderr) == (1, "the server does not answer: SSLCertVerificationError\n")


def test_without_certificates_it_does_not_answer(triton_server, tmp_path):
    done = asked("live", triton_server.triton.port, tmp_path)
    assert (done.returncode, done.stderr) == (1, "the server does not answer: FileNotFoundError\n")


def test_a_frozen_one_is_neither(triton_server):
    trusted = probe.trust(triton_server.triton.certificates)
    triton_server.process.stop()
    try:
        with pytest.raises(TimeoutError):
            probe.status(triton_server.triton.port, trusted, 0.3)
    finally:
        triton_server.process.cont()
    assert probe.status(triton_server.triton.port, trusted) == probe.SERVING


def test_one_that_has_lost_a_model_is_live_and_not_ready():
    authority, certificate, key = ((FOLDER / name).read_bytes() for name in ("ca.crt", "triton.crt", "triton.key"))
    served = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
    server = grpc.server(ThreadPoolExecutor(1))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_secure_port("127.0.0.1:0", served)
    server.start()
    try:
        assert probe.main(["live", str(FOLDER), str(port)]) == 0
        assert probe.main(["ready", str(FOLDER), str(port)]) == 1
    finally:
        server.stop(0)


GOAWAY = b"\x00\x00\x08\x07" + bytes(13)


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", GOAWAY])
def test_whoever_else_listens_is_not_live(words, capsys):
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(FOLDER / "triton.crt", FOLDER / "triton.key")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def answer() -> None:
            connection, _ = server.accept()
            with connection, served.wrap_socket(connection, server_side=True) as secured:
                secured.recv(4096)
                secured.sendall(words)

        thread = threading.Thread(target=answer)
        thread.start()
        assert probe.main(["live", str(FOLDER), str(server.getsockname()[1])]) == 1
        thread.join()
    assert "does not answer: " in capsys.readouterr().err


def test_a_wrong_use_is_told(capsys):
    assert probe.main([]) == probe.main(["live"]) == 2
    assert "live|ready" in capsys.readouterr().err

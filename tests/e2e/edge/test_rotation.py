"""A renewed certificate is taken up without a restart, when it changes as a kubelet changes it."""

import os
import socket
import ssl
import time
from pathlib import Path

import pytest

from deploy.local import certificates
from tests.support import tls
from tests.support.edge import Edge

SECONDS = 20


class Mounted:
    """A folder as a kubelet mounts a Secret: names that lead through one link, which is exchanged as a whole."""

    def __init__(self, folder: Path, files: dict[str, bytes]) -> None:
        self.folder = folder
        folder.mkdir()
        self._version = 0
        self.put(files)
        for name in files:
            (folder / name).symlink_to(Path("..data") / name)

    def put(self, files: dict[str, bytes]) -> None:
        """Exchange all files at once."""
        self._version += 1
        fresh = self.folder / f"..{self._version}"
        fresh.mkdir()
        for name, content in files.items():
            (fresh / name).write_bytes(content)
        link = self.folder / "..data_tmp"
        link.symlink_to(fresh.name)
        os.replace(link, self.folder / "..data")


def files(authority: str, name: str = "edge") -> dict[str, bytes]:
    ca, certificate, key = tls.files(name, authority)
    return {"ca.crt": ca, f"{name}.crt": certificate, f"{name}.key": key}


@pytest.fixture
def public(tmp_path) -> Mounted:
    return Mounted(tmp_path / "public", files("suite"))


@pytest.fixture
def edge(tmp_path, public):
    home = tmp_path / "e"
    certificates.make(home)
    paths = {"tls_certificate": public.folder / "edge.crt", "tls_key": public.folder / "edge.key"}
    running = Edge(home, secrets=home, **paths)
    running.start()
    yield running
    running.stop()


def shown(edge: Edge) -> bytes:
    """The certificate that a new connection is shown."""
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", edge.ports.edge_port), 5) as plain,
        unchecked.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return connection.getpeercert(binary_form=True) or b""


def der(authority: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(tls.files("edge", authority)[1].decode())


def test_the_public_certificate_is_read_anew_when_it_changes(edge, public):
    assert shown(edge) == der("suite")
    process = edge.envoy.pid
    public.put(files("renewed"))
    deadline = time.monotonic() + SECONDS
    while shown(edge) != der("renewed"):
        assert time.monotonic() < deadline, "Envoy still shows the old certificate"
    assert edge.envoy.pid == process

"""The certificates of a test run: one authority, a leaf for every name of the suite, a second authority to refuse."""

import atexit
import functools
import shutil
import ssl
import tempfile
from pathlib import Path

from deploy.local import certificates


def home(authority: str = "suite") -> Path:
    """A folder whose `certs` hold the leaves of an authority, made once per run."""
    return _made(authority)


@functools.cache
def _made(authority: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"filmgate-test-{authority}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    certificates.make(folder)
    return folder


def triton(authority: str = "suite") -> tuple[bytes, bytes, bytes]:
    """Return (authority, certificate, key) in PEM that no running Triton knows: each has its own authority."""
    return of_triton(certificates.triton_folder(home(authority)))


def of_triton(folder: Path) -> tuple[bytes, bytes, bytes]:
    """Return (authority, certificate, key) in PEM of the one client of the Triton with its files in `folder`."""
    return tuple((folder / name).read_bytes() for name in ("ca.crt", "worker.crt", "worker.key"))  # type: ignore[return-value]


def leaf(name: str) -> str:
    """Whose certificate a process shows: its own, or billing's for one that is not of the suite (a toy)."""
    return name if name in certificates.NAMES else "billing"


def files(name: str, authority: str = "suite") -> tuple[bytes, bytes, bytes]:
    """Return (authority, certificate, key) in PEM of a process."""
    certs = home(authority) / "certs"
    return (certs / "ca.crt").read_bytes(), (certs / f"{name}.crt").read_bytes(), (certs / f"{name}.key").read_bytes()


def context(name: str) -> ssl.SSLContext:
    """Make the TLS of a client of HTTP/2 that shows the certificate of a process and knows the suite's authority."""
    certs = home() / "certs"
    made = ssl.create_default_context(cafile=str(certs / "ca.crt"))
    made.check_hostname = False
    made.load_cert_chain(certs / f"{name}.crt", certs / f"{name}.key")
    made.set_alpn_protocols(["h2"])
    return made

"""The certificates of a test run: one authority, a leaf for every name of the suite, a second authority to refuse."""

import functools
import tempfile
from pathlib import Path

from deploy.local import certificates


@functools.cache
def home(authority: str = "suite") -> Path:
    """A folder whose `certs` hold the leaves of an authority, made once per run."""
    folder = Path(tempfile.mkdtemp(prefix=f"filmgate-test-{authority}-"))
    certificates.make(folder)
    return folder


def files(name: str, authority: str = "suite") -> tuple[bytes, bytes, bytes]:
    """Answer (authority, certificate, key) in PEM of a process."""
    certs = home(authority) / "certs"
    return (certs / "ca.crt").read_bytes(), (certs / f"{name}.crt").read_bytes(), (certs / f"{name}.key").read_bytes()

"""One Envoy, with stand-ins behind it, for all tests of this folder."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.edge import Edge


@pytest.fixture(scope="package")
def edge() -> Iterator[Edge]:
    """Its home has a short path for the sake of the socket in it."""
    home = Path(tempfile.mkdtemp(prefix="fg-edge-"))
    running = Edge(home, requests_per_second=10_000)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(home)


@pytest.fixture
def client(edge: Edge) -> Iterator[httpx.Client]:
    """A stranger, with their own connection."""
    with httpx.Client(base_url=edge.url, timeout=20, trust_env=False) as asking:
        yield asking

"""What the edge keeps for clients that take nothing of their answers (B1): a limit, and others are served."""

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx

from deploy.local import ports
from tests.support.edge import Edge, refused
from tests.support.frames import Unread
from tests.support.waiting import until

MEBIBYTE = 2**20
MEMORY, SIZE = 80 * MEBIBYTE, MEBIBYTE // 2
CONNECTIONS, STREAMS, AT_ONCE = 20, 20, 10
"""200 MiB of answers in all, 2.5 times as much as the edge may allocate."""


@contextlib.contextmanager
def started(heap: int | None = None, **settings) -> Iterator[Edge]:
    """An edge of one's own, whose Envoy believes that it has `heap` bytes where that is less than can be configured."""
    home = Path(tempfile.mkdtemp(prefix="fg-edge-"))
    running = Edge(home, requests_per_second=10_000, **settings)
    if heap is not None:
        text = (home / "envoy.yaml").read_text()
        changed, count = re.subn(r"max_heap_size_bytes: \d+", f"max_heap_size_bytes: {heap}", text)
        assert count == 1
        (home / "envoy.yaml").write_text(changed)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(home)


async def test_who_takes_nothing_of_many_answers_is_ended_and_others_are_served():
    """With HTTP/2 and a window of 0 for each stream; they stay connected while others get their answers."""
    with started(memory_bytes=MEMORY) as running, ExitStack() as stack:
        running.content = "x" * SIZE
        unread = [stack.enter_context(contextlib.closing(Unread(running.ports.edge_port))) for _ in range(CONNECTIONS)]
        for connection in unread:
            for _ in range(STREAMS // AT_ONCE):  # a few at once, so that the stand-ins can follow
                await _asked(connection)
                # Well before Envoy ends streams for another reason, after 60 s.
                await until(lambda: _allocated(running) < MEMORY, 20, what="memory below the limit")
        await until(lambda: any(_ended(connection) for connection in unread), what="a stream that was ended")
        assert _get(running.url + "/openapi.json").text == running.content
        assert _get(running.url + "/v1/videos/vid_1").status_code == 200
        assert "cluster.pages.upstream_cx_total: 0\n" not in _admin(running, "/stats")
        assert "cluster.media.upstream_cx_total: 0\n" in _admin(running, "/stats")


async def test_a_connection_has_few_answers_under_way():
    """Each that its client does not take is kept, short ones too, which Envoy ends last (C1)."""
    with started() as running, contextlib.closing(Unread(running.ports.edge_port)) as connection:
        connection.get("/openapi.json", 5 * STREAMS)
        await until(lambda: _over(connection) == 5 * STREAMS, what="an end or a beginning of each")
        assert len(connection.answered) == STREAMS
        assert len(connection.ended) == 4 * STREAMS


async def test_an_edge_without_memory_says_so_and_is_not_taken_for_dead():
    """The kubelet asks it for its health, and would kill it."""
    free = ports.free()
    with started(8 * MEBIBYTE, health_port=free.auth_port, metrics_port=free.billing_port) as running:
        await until(lambda: _get(running.url + "/docs").status_code == 503)
        for path in ("/docs", "/v1/videos/vid_1", "/v1/nothing"):
            answer = _get(running.url + path)
            assert refused(answer) == (503, 14, "SERVICE_UNAVAILABLE")
            assert "memory" in answer.json()["message"]
        assert _get(f"http://127.0.0.1:{free.auth_port}/ready").text.strip() == "LIVE"
        assert _get(f"http://127.0.0.1:{free.billing_port}/stats/prometheus").status_code == 200
        assert running.envoy.alive


def _get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=20)


async def _asked(connection: Unread) -> None:
    """Ask for some answers, and wait until each has begun, or was ended."""
    connection.get("/openapi.json", AT_ONCE)
    before = len(connection.answered | connection.ended)
    await until(lambda: _over(connection) >= before + AT_ONCE, what="answers that begin")


def _over(connection: Unread) -> int:
    """How many streams have had the beginning of an answer, or their end."""
    connection.look()
    return len(connection.answered | connection.ended)


def _ended(connection: Unread) -> set[int]:
    connection.look()
    return connection.ended


def _allocated(edge: Edge) -> int:
    """Bytes that Envoy has allocated."""
    return int(json.loads(_admin(edge, "/memory"))["allocated"])


def _admin(edge: Edge, path: str) -> str:
    transport = httpx.HTTPTransport(uds=str(edge.settings.admin_socket))
    with httpx.Client(transport=transport, base_url="http://admin", timeout=20) as admin:
        return admin.get(path).text

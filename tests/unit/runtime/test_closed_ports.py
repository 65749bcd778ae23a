"""One request ends grpc.aio's loop that takes calls: the health port is none of it, a process without its port ends."""

import asyncio
import contextlib
import dataclasses
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local import ports
from services.runtime import config, server, telemetry
from tests.support import frames, rpc, tls, toy
from tests.support.waiting import until

PATHS = [b"/\xff", b"/grpc.health.v1.Health/Check\xff", b"/filmgate.toy.v1.Toys/Look\xc3", b"\x80", b"/\xed\xa0\x80"]
"""Bytes of a `:path` that are not UTF-8; HTTP/2 forbids them nowhere and grpcio hands them on."""
ODD: list[tuple[bytes, list[tuple[bytes, bytes]]]] = [
    (b"", []),
    (b"no-slash", []),
    (b"/a\0b", []),
    (b"/a\r\nb", []),
    (b"/filmgate.toy.v1.Toys/Look", [(b":authority", b"\xff")]),
    (b"/filmgate.toy.v1.Toys/Look", [(b":status", b"\xff")]),
    (b"/filmgate.toy.v1.Toys/Look", [(b":protocol", b"\xff")]),
    (b"/filmgate.toy.v1.Toys/Look", [(b":method", b"\xff")]),
    (b"/filmgate.toy.v1.Toys/Look", [(b":scheme", b"\xff")]),
    (b"/filmgate.toy.v1.Toys/Look", [(b"te", b"\xff")]),
    (b"/filmgate.toy.v1.Toys/Look", [(b"grpc-timeout", b"\xff")]),
]
"""Other pseudo-headers that no client of gRPC sends."""
SERVING = health_pb2.HealthCheckResponse.SERVING


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Settings(config.Settings):
    toy_port: int = 0


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the process logs during the test."""
    root, ours, written = logging.getLogger(), logging.getLogger("filmgate"), io.StringIO()
    before = root.handlers[:]
    telemetry.configure("toy", "INFO", b"k" * 32, written)
    yield written
    root.handlers = before
    ours.handlers, ours.propagate = [], True


def _lines(stream: io.StringIO, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, stream.getvalue().splitlines()) if line["event"] == event]


@contextlib.asynccontextmanager
async def process(*registrations: server.ServiceRegistration) -> AsyncIterator[tuple[asyncio.Task[None], int, int]]:
    """Run a process; yields it, its gRPC port and its health port."""
    free = ports.free()
    settings = rpc.settings("toy", _Settings, toy_port=free.billing_port, health_port=free.billing_health_port)
    running = asyncio.create_task(server.serve(settings, registrations, grace=5))
    try:
        await until(lambda: _serves(settings.health_port))
        yield running, settings.port, settings.health_port
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _serves(port: int) -> bool:
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            asked = health_pb2.HealthCheckRequest()
            return bool((await health_pb2_grpc.HealthStub(channel).Check(asked, timeout=5)).status == SERVING)
    except grpc.aio.AioRpcError:
        return False


async def test_the_health_port_answers_after_a_path_that_is_no_text(stream: io.StringIO) -> None:
    """Whoever reaches the port could end its answers for good, and have the process restarted again and again."""
    async with process() as (running, _, port):
        for path in PATHS:
            await frames.call(port, path)
            assert await _serves(port)
        assert not running.done()


async def test_calls_without_their_message_leave_room_for_others() -> None:
    """Each holds a thread of the health port."""
    async with process() as (_, _, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(frames.PREFACE + frames.frame(frames.SETTINGS, 0, 0, b""))
        asked = frames.grpc_headers(b"/grpc.health.v1.Health/Check")
        for stream in range(1, 201, 2):
            writer.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, asked))
        writer.write(frames.frame(frames.PING, 0, 0, bytes(8)))  # its answer: all has been read
        answer = b""
        while frames.frame(frames.PING, frames.ACK, 0, bytes(8)) not in answer:
            answer += await asyncio.wait_for(reader.read(65536), 60)
        assert await _serves(port)
        writer.close()


async def test_a_process_that_hangs_is_not_well_though_its_threads_are() -> None:
    async with process() as (_, _, port):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            for service in ("", server.LIVE):
                with pytest.raises(grpc.RpcError) as caught:  # a call that blocks this loop, the process's own
                    health_pb2_grpc.HealthStub(channel).Check(
                        health_pb2.HealthCheckRequest(service=service), timeout=60
                    )
                assert (caught.value.code(), caught.value.details()) == (
                    grpc.StatusCode.UNAVAILABLE,
                    "the process hangs",
                )
        assert await _serves(port)


async def test_a_service_that_health_does_not_know_is_not_found() -> None:
    asked = health_pb2.HealthCheckRequest(service="odd")
    async with process() as (_, _, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health_pb2_grpc.HealthStub(channel).Check(asked, timeout=60)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_process_whose_port_is_closed_by_a_path_that_is_no_text_ends(stream: io.StringIO) -> None:
    """Only a peer with a certificate of the suite can do it."""
    async with process(toy.registration()) as (running, port, _):
        await frames.call(port, PATHS[0], context=tls.context("edge"))
        with pytest.raises(RuntimeError, match="the part Server ended") as caught:
            await asyncio.wait_for(running, 60)
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)
    (line,) = _lines(stream, "part_ended")
    assert (line["level"], line["kind"], line["error"]) == ("error", "Server", "UnicodeDecodeError")


async def test_it_says_so_at_once_and_ends_though_a_call_in_it_does_not(stream: io.StringIO) -> None:
    began = asyncio.Event()

    async def forever(_: Any) -> None:
        began.set()
        await asyncio.Event().wait()

    async with process(toy.registration(forever)) as (running, port, _):
        served = rpc.Served("toy", port, [])
        look = served.stub(toy.pb2_grpc.ToysStub).Look(toy.pb2.MakeRequest(text="hello"), timeout=120)
        call = asyncio.ensure_future(look)
        await asyncio.wait_for(began.wait(), 60)
        await frames.call(port, PATHS[0], context=tls.context("edge"))
        await until(lambda: _lines(stream, "part_ended"))
        with pytest.raises(RuntimeError, match="the part Server ended"):
            await asyncio.wait_for(running, 60)
        async with rpc.refused():
            await call
        await served.channels[0].close()


async def test_other_odd_headers_close_no_port(stream: io.StringIO) -> None:
    async with process(toy.registration()) as (running, port, health):
        for path, headers in ODD:
            await frames.call(port, path, *headers, context=tls.context("edge"))
            await frames.call(health, path, *headers)
        served = rpc.Served("toy", port, [])
        look = served.stub(toy.pb2_grpc.ToysStub).Look
        assert (await look(toy.pb2.MakeRequest(text="hello"), timeout=60)).text == "hello"
        await served.channels[0].close()
        assert await _serves(health)
        assert not running.done()
    assert _lines(stream, "part_ended") == []

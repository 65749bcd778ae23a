"""A process: ACCESS is whole, health tells the truth, the end is graceful."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.runtime import caller, server
from services.runtime.config import Settings
from services.runtime.server import Health, ServiceRegistration
from tests.support import rpc, tls, toy
from tests.support.waiting import until

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("policy", [{}, {**toy.ACCESS, "Nothing": caller.PUBLIC}, {"Make": caller.PUBLIC}])
async def test_a_policy_names_exactly_the_methods(policy: dict[str, caller.Access]) -> None:
    room = toy.registration()
    with pytest.raises(ValueError, match="ACCESS of filmgate"):
        server.build(rpc.settings("toy"), [ServiceRegistration(room.service, room.add, room.servicer, policy)], port=0)


async def test_a_taken_port_is_an_error_and_not_shared() -> None:
    async with rpc.serve("toy", [toy.registration()]) as served:
        with pytest.raises(RuntimeError):
            server.build(rpc.settings("toy"), [toy.registration()], port=served.port)


async def test_a_client_without_a_certificate_is_not_heard() -> None:
    async with rpc.serve("toy", [toy.registration()]) as served:
        authority = tls.files("edge")[0]
        for credentials in (grpc.ssl_channel_credentials(authority), None):
            options = [("grpc.ssl_target_name_override", "billing")]
            channel = (
                grpc.aio.secure_channel(served.address, credentials, options=options)
                if credentials
                else grpc.aio.insecure_channel(served.address)
            )
            async with channel, rpc.refused(grpc.StatusCode.UNAVAILABLE):
                await toy.pb2_grpc.ToysStub(channel).Look(toy.pb2.MakeRequest(text="hello"), timeout=1)


async def test_a_message_above_four_mebibytes_is_refused() -> None:
    async with rpc.serve("toy", [toy.registration()]) as served:
        stub = served.stub(toy.pb2_grpc.ToysStub)
        async with rpc.refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
            await stub.Look(toy.pb2.MakeRequest(text="hello", bare="x" * 4 * 1024 * 1024), timeout=5)


async def _ask(stub: Any) -> list[str]:
    async def requests() -> AsyncIterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    answers = [answer async for answer in stub.ServerReflectionInfo(requests(), timeout=5)]
    return [service.name for service in answers[0].list_services_response.service]


async def test_reflection_is_the_operators() -> None:
    async with rpc.serve("toy", [toy.registration()]) as served:
        stub = served.stub(reflection_pb2_grpc.ServerReflectionStub, peer="operator")
        assert "filmgate.toy.v1.Toys" in await _ask(stub)
        for peer in ("edge", "generation"):
            async with rpc.refused(reason="PEER_NOT_ALLOWED"):
                await _ask(served.stub(reflection_pb2_grpc.ServerReflectionStub, peer=peer))


async def _health(port: int, service: str = "") -> Any:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        asked = health_pb2.HealthCheckRequest(service=service)
        return (await health_pb2_grpc.HealthStub(channel).Check(asked, timeout=2)).status


async def test_health_serves_only_while_every_check_holds() -> None:
    well: dict[str, bool] = {"a": False, "b": True}

    def check(name: str) -> Any:
        async def run() -> None:
            if not well[name]:
                raise ConnectionError

        return run

    health = Health("127.0.0.1", 0, {name: check(name) for name in well})
    await health.start()
    assert await _health(health.port) == NOT_SERVING
    assert not await health.check()
    assert await _health(health.port) == NOT_SERVING
    assert await _health(health.port, server.LIVE) == SERVING
    well["a"] = True
    assert await health.check()
    assert await _health(health.port) == SERVING
    well["b"] = False
    await health.check()
    assert await _health(health.port) == NOT_SERVING
    well["b"] = True
    await health.drain(0)
    await health.check()
    assert await _health(health.port) == NOT_SERVING
    await health.stop()


async def test_a_check_that_hangs_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_CHECK_SECONDS", 0.05)
    health = Health("127.0.0.1", 0, {"a": asyncio.Event().wait})
    assert not await health.check()
    await health.stop()


class Part:
    """Works until drained; remembers what happened."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.ended = asyncio.Event()
        self.fault: Exception | None = None

    async def run(self) -> None:
        self.events.append("run")
        await self.ended.wait()
        if self.fault:
            raise self.fault

    async def drain(self, seconds: float) -> None:
        self.events.append(f"drain {seconds}")
        self.ended.set()


def free(*names: str) -> Settings:
    settings: Settings = rpc.settings("toy")
    return settings


async def test_a_process_ends_gracefully_at_sigterm() -> None:
    part, closed, began = Part(), asyncio.Event(), asyncio.Event()

    async def slow(_: Any) -> None:
        began.set()
        await part.ended.wait()  # the drain has begun

    async def close() -> None:
        closed.set()

    ports: list[int] = []
    real = server.build

    def build(*arguments: Any, **options: Any) -> server.Server:
        built = real(*arguments, **options)
        ports.append(built.port)
        return built

    server.build = build  # type: ignore[assignment]
    try:
        process = asyncio.create_task(
            server.serve(free(), [toy.registration(slow)], parts=[part], on_stop=[close], grace=5)
        )
        await until(lambda: ports and part.events)
        served = rpc.Served("toy", ports[0], [])
        call = asyncio.ensure_future(
            served.stub(toy.pb2_grpc.ToysStub).Look(toy.pb2.MakeRequest(text="hello"), timeout=5)
        )
        await asyncio.wait_for(began.wait(), 60)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (await call).text == "hello"
        await asyncio.wait_for(process, 60)
        await served.channels[0].close()
    finally:
        server.build = real
    assert part.events == ["run", "drain 5"]
    assert closed.is_set()


@pytest.mark.parametrize("fault", [None, ValueError("x")])
async def test_a_part_that_ends_by_itself_ends_the_process(fault: Exception | None) -> None:
    part = Part()
    part.fault = fault
    part.ended.set()
    with pytest.raises(RuntimeError, match="Part ended") as caught:
        await asyncio.wait_for(server.serve(free(), parts=[part]), 60)
    assert caught.value.__cause__ is fault

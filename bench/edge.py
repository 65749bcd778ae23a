"""Calls through Envoy: the empty RPC, the status poll and the submit, loaded and unloaded; and Check by itself."""

import dataclasses
import json
import time
from collections.abc import Callable

import grpc
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc

from bench import machine
from bench.figures import medians, per_request, percentile
from bench.load import CONNECTIONS, Request, run
from bench.stage import ORDER, Stage
from services.runtime import channels
from services.runtime.config import Settings

CHECKS = 1000
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Case:
    """Where to send which requests; `floor` names the parts of the floor that take part."""

    name: str
    url: str
    requests: list[Request]
    floor: tuple[str, ...] = ()


async def measure(stage: Stage, rounds: int, seconds: float, say: Say) -> dict[str, float]:
    """Measure the three cases in turn, so many rounds; answers medians."""
    every = await cases(stage)
    for case in every:  # statements and caches are warm in every round
        await run(case.url, case.requests, stage.folder, connections=CONNECTIONS, seconds=1)
    found = []
    for number in range(rounds):
        figures: dict[str, float] = {}
        for case in every:
            figures |= await loaded(stage, case, seconds)
        for case in every:
            seen = await run(case.url, case.requests, stage.folder, connections=1, seconds=seconds / 2)
            figures |= {f"{case.name}_p50_ms": seen.p50_ms, f"{case.name}_p99_ms": seen.p99_ms}
        found.append(figures)
        rates = ", ".join(f"{case.name} {figures[f'{case.name}_rps']:,.0f}/s" for case in every)
        say(f"  round {number + 1}: {rates}")
    return medians(found) | {"check_p99_ms": await _check(stage)}


async def cases(stage: Stage) -> list[Case]:
    """Return the three cases, with a queued video of each customer to be polled."""
    body = json.dumps(ORDER)
    polls = []
    for client in stage.customers:
        video = await client.call("POST", "/v1/videos", ORDER)
        polls.append(Request("GET", f"/v1/videos/{video['id']}", client.credential))
    submits = [Request("POST", "/v1/videos", client.credential, body) for client in stage.customers]
    return [
        Case("floor", stage.floor_url, polls, ("floor", "floor_envoy")),
        Case("poll", stage.suite.url, polls),
        Case("submit", stage.suite.url, submits),
    ]


async def loaded(stage: Stage, case: Case, seconds: float) -> dict[str, float]:
    """Run one case with 16 connections; returns its rate, its latencies and its CPU per request."""
    name, before = case.name, stage.cpu(*case.floor)
    seen = await run(case.url, case.requests, stage.folder, connections=CONNECTIONS, seconds=seconds)
    spent = machine.since(before, stage.cpu(*case.floor))
    return {
        f"{name}_rps": seen.rps,
        f"{name}_loaded_p50_ms": seen.p50_ms,
        f"{name}_loaded_p99_ms": seen.p99_ms,
        **per_request(spent, seen.requests, name),
    }


async def _check(stage: Stage) -> float:
    """Ask Check as Envoy does, one call after the other; returns the p99 in milliseconds."""
    settings = Settings(name="edge", home=stage.suite.home, auth_address=f"127.0.0.1:{stage.suite.ports.auth_port}")
    request = external_auth_pb2.CheckRequest()
    http = request.attributes.request.http
    http.method, http.path = "GET", "/v1/videos/vid_x"
    http.headers["authorization"] = f"Bearer {stage.customers[0].credential}"
    request.attributes.context_extensions.update(
        {"audience": "generation", "method": "filmgate.generation.v1.Videos/GetVideo", "gate": "CORE"}
    )
    times = []
    channel = channels.connect("auth", settings)
    try:
        stub = external_auth_pb2_grpc.AuthorizationStub(channel)
        for _ in range(CHECKS):
            began = time.perf_counter()
            answer = await stub.Check(request)
            times.append(1000 * (time.perf_counter() - began))
            if answer.status.code != grpc.StatusCode.OK.value[0]:
                raise RuntimeError(answer.denied_response.body)
    finally:
        await channel.close()
    return percentile(times, 99)

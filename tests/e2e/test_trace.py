"""One video followed by its trace through every process that took part, from the edge to the settled price."""

import collections
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from deploy.local import ports
from deploy.local.client import Client, new_phone
from deploy.local.suite import Suite
from deploy.observability.traces import Receiver, Span, waterfall
from tests.e2e.conftest import ended
from tests.support.addresses import an_address
from tests.support.waiting import until

PROMPT = "a lighthouse that nobody but its owner may know of"
FORGED = f"00-{'a' * 32}-{'b' * 16}-01"
AGENT = "an agent that nobody may know of"
ATTEMPTS = 6
PROCESSES = {"edge", "auth", "generation", "billing", "worker", "triton"}
LOGS = {"envoy", "auth", "generation", "billing", "worker"}
CHECK, CREATE = "envoy.service.auth.v3.Authorization/Check", "filmgate.generation.v1.Videos/CreateVideo"
AUTHORIZE, CAPTURE = "filmgate.billing.v1.Wallets/Authorize", "filmgate.billing.v1.Wallets/Capture"
BELOW = {
    ("edge", CREATE): None,
    ("auth", CHECK): ("edge", "async envoy.service.auth.v3.Authorization.Check egress"),
    ("generation", CREATE): ("edge", CREATE),
    ("billing", AUTHORIZE): ("generation", AUTHORIZE),
    ("worker", "job/generate.animatic"): ("generation", CREATE),
    ("worker", "triton animatic"): ("worker", "job/generate.animatic"),
    ("worker", "stage GENERATING"): ("worker", "triton animatic"),
    ("triton", "InferRequest"): ("worker", "triton animatic"),
    ("triton", "animatic"): ("triton", "InferRequest"),
    ("worker", "job/settle"): ("worker", "job/generate.animatic"),
    ("worker", CAPTURE): ("worker", "job/settle"),
    ("billing", CAPTURE): ("worker", CAPTURE),
}
"""Whose span stands below whose, by process and name."""


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """Where the suite sends its traces."""
    made = Receiver(tmp_path_factory.mktemp("otlp"), "token")
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Suite]:
    """The whole suite, every request of which is recorded."""
    settings = {**receiver.settings, "FILMGATE_EDGE_TRACE_RATIO": "1"}
    running = Suite(tmp_path_factory.mktemp("traced") / ".filmgate", ports=ports.free(), settings=settings)
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def owner(traced: Suite) -> AsyncIterator[Client]:
    """A customer of the traced suite."""
    address = an_address()
    async with Client(traced.url, traced.outbox, address=address) as client:
        client.address = address  # type: ignore[attr-defined]
        client.phone = new_phone()  # type: ignore[attr-defined]
        await client.register(client.phone)  # type: ignore[attr-defined]
        await client.accept_policies()
        await client.make_key("test")
        yield client


async def whole(
    receiver: Receiver, name: str, wanted: set[tuple[str, str]], ask: Callable[[], Awaitable[object]]
) -> list[Span]:
    """Return the spans of a trace that begins with `name`, once it has come with all that is wanted.

    `ask` makes one. Spans are sent once and within 2 s, or are lost: on a busy machine it asks again.
    """
    spans: list[Span] = []

    def come() -> list[Span]:
        nonlocal spans
        for trace in receiver.traces.ids():
            found = receiver.traces.spans(trace)
            if found[0].name == name:
                spans = found
                if wanted <= {(span.service, span.name) for span in found}:
                    return found
        return []

    for _ in range(ATTEMPTS):
        await ask()
        with contextlib.suppress(TimeoutError):
            return list(await until(come, seconds=20, what=name))
    raise AssertionError(f"no whole trace came: {waterfall(spans) if spans else receiver.traces.ids()}")


def lines(suite: Suite, name: str) -> list[dict[str, Any]]:
    """The JSON lines of a part's log."""
    text = (suite.home / "logs" / f"{name}.log").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


async def test_a_video_is_one_tree_through_every_process(owner: Client, traced: Suite, receiver: Receiver) -> None:
    order = {"model": "animatic", "prompt": PROMPT, "duration_seconds": 2}

    async def ask() -> None:
        video = await owner.call("POST", "/v1/videos", order, traceparent=FORGED, tracestate="a=b", user_agent=AGENT)
        assert (await ended(owner, video["id"]))["settlement"] == "CAPTURED"

    spans = await whole(receiver, CREATE, set(BELOW), ask)

    assert {span.service for span in spans} == PROCESSES
    by_id = {span.id: span for span in spans}
    assert [span.name for span in spans if not span.parent] == [CREATE], "one root"
    assert [span.name for span in spans if span.parent and span.parent not in by_id] == [], "one tree"
    above = {span.id: (by_id[span.parent].service, by_id[span.parent].name) if span.parent else None for span in spans}
    found = collections.defaultdict(set)
    for span in spans:
        found[span.service, span.name].add(above[span.id])
    for who, parent in BELOW.items():
        assert parent in found[who], f"{who} is not below {parent}:\n{waterfall(spans)}"
    assert {span.service for span in spans if span.name.startswith("SQL ")} == {"generation", "billing", "worker"}

    trace = spans[0].trace
    assert trace != "a" * 32, "a stranger's trace is not taken"
    for name in LOGS:
        assert [line for line in lines(traced, name) if line.get("trace_id") == trace], f"no line of {name}"
    served = {(line["process"], line["method"]) for name in LOGS - {"envoy"} for line in lines(traced, name)
              if line.get("trace_id") == trace and line["event"] == "call"}  # fmt: skip
    assert served >= {("auth", f"/{CHECK}"), ("generation", f"/{CREATE}"), ("billing", f"/{CAPTURE}")}


async def test_no_span_of_any_process_says_what_is_personal(owner: Client, receiver: Receiver) -> None:
    models = "filmgate.generation.v1.Models/ListModels"
    wanted = {("edge", models), ("generation", models), ("auth", CHECK)}
    await whole(receiver, models, wanted, lambda: owner.call("GET", "/v1/models", user_agent=AGENT))
    said = "\n".join(span.words for trace in receiver.traces.ids() for span in receiver.traces.spans(trace))
    phone = owner.phone.removeprefix("+86")  # type: ignore[attr-defined]
    for personal in (PROMPT, AGENT, phone, owner.credential, owner.address):  # type: ignore[attr-defined]
        assert personal not in said, personal

"""The edge begins every trace, tells who follows whether it is recorded, and says nothing personal in its spans."""

import re

import httpx
import pytest

from deploy.observability.traces import Receiver, Span
from services.runtime import errors
from tests.support.edge import GET_VIDEO, Edge, fail

FORGED = {
    "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    "tracestate": "vendor=forged",
    "baggage": "user=forged",
    "x-client-trace-id": "forged",
    "x-envoy-force-trace": "1",
}
PERSONAL = {"user-agent": "an-agent-of-mine", "authorization": "Bearer sk-of-mine", "host": "host-of-mine.example"}
OURS = re.compile(r"00-(?!a{32})[0-9a-f]{32}-(?!b{16})[0-9a-f]{16}-0([01])")


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    made = Receiver(tmp_path_factory.mktemp("otlp"), "token")
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module", params=[1.0, 0.0], ids=["all", "none"])
def edge(request, tmp_path_factory, receiver):
    endpoint = receiver.settings["FILMGATE_OTLP_ENDPOINT"]
    running = Edge(tmp_path_factory.mktemp("edge"), otlp_endpoint=endpoint, trace_ratio=request.param)
    running.start()
    yield running
    running.stop()


def ask(edge: Edge, path: str) -> httpx.Response:
    with httpx.Client(base_url=edge.url, trust_env=False) as client:
        return client.get(path, headers={**FORGED, **PERSONAL})


def spans_of(receiver: Receiver, trace: str, least: int) -> list[Span]:
    """Envoy sends every few seconds."""
    return receiver.traces.wait(trace, least, 30)


def test_a_strangers_trace_is_not_taken_and_the_share_decides(edge, receiver):
    before = set(receiver.traces.ids())
    assert ask(edge, "/v1/videos/vid_1").status_code == 200
    headers = edge.calls[-1].headers
    match = OURS.fullmatch(headers["traceparent"])
    assert match
    assert "forged" not in str({name: text for name, text in headers.items() if name in FORGED})
    trace, recorded = headers["traceparent"].split("-")[1], edge.settings.trace_ratio == 1
    assert match[1] == str(int(recorded))
    if not recorded:
        ask(edge, "/v1/models")
        assert set(receiver.traces.ids()) == before
        return
    own, check = spans_of(receiver, trace, 2)
    assert (own.service, own.name, own.parent) == ("edge", GET_VIDEO, "")
    assert (check.parent, check.name) == (own.id, "async envoy.service.auth.v3.Authorization.Check egress")
    assert own.attributes["request_id"] == headers["x-request-id"]
    assert headers["traceparent"].split("-")[2] == own.id, "who follows stands below the edge's span"


def test_what_a_request_says_stays_out_of_the_spans(edge, receiver):
    if edge.settings.trace_ratio != 1:
        pytest.skip("nothing is recorded")

    async def refuse(context):
        await fail(errors.NOT_FOUND(resource="word of-mine"), "toy", "req_1", context)

    with edge.script(GET_VIDEO, refuse):
        assert ask(edge, "/v1/videos/vid_of-mine?page_token=of-mine").status_code >= 400
        assert ask(edge, "/v1/videos/of-mine").status_code >= 400
    assert ask(edge, "/of-mine").status_code == 404
    assert ask(edge, "/v1/models").status_code == 200
    trace = edge.calls[-1].headers["traceparent"].split("-")[1]
    assert spans_of(receiver, trace, 2), "what was sent before has come too"
    said = "\n".join(span.words for trace in receiver.traces.ids() for span in receiver.traces.spans(trace))
    assert "of-mine" not in said
    assert "forged" not in said
    assert "127.0.0.1" not in said

"""Prometheus takes our configuration and rules, each rule is tested, and nothing asks for a metric that is not ours."""

import base64
import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from deploy.local.ports import Ports
from deploy.observability import local
from deploy.observability.traces import Receiver, Traces, listing, waterfall, writing
from services.runtime import metrics

FOLDER = local.RULES.parent
TESTS, DASHBOARD = FOLDER / "rules.test.yaml", FOLDER / "dashboard.json"
NAME = re.compile(r"\bfilmgate_[a-z_]+")


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict]:
    return [rule for group in yaml.safe_load(local.RULES.read_text())["groups"] for rule in group["rules"]]


def test_prometheus_takes_the_rules_and_the_configuration_that_is_rendered(tmp_path: Path) -> None:
    assert "SUCCESS" in promtool("check", "rules", str(local.RULES))
    file = tmp_path / "prometheus.yaml"
    file.write_text(local.configuration(Ports(media_metrics_port=0)))
    assert "SUCCESS" in promtool("check", "config", str(file))
    targets = re.findall(r"127\.0\.0\.1:(\d+)", file.read_text())
    assert targets == ["8131", "8132", "8133", "8134", "8136", "8130"], "a port of 0 is nobody's"


def test_each_rule_is_raised_by_what_it_is_for() -> None:
    promtool("test", "rules", str(TESTS))
    tested = re.findall(r"alertname: (\w+)\n +exp_alerts:\n", TESTS.read_text())
    assert sorted(set(tested)) == sorted(rule["alert"] for rule in rules())


@pytest.mark.parametrize("alert", [rule["alert"] for rule in rules()])
def test_a_rule_that_is_never_raised_fails_its_test(alert: str, tmp_path: Path) -> None:
    found = yaml.safe_load(local.RULES.read_text())
    for rule in found["groups"][0]["rules"]:
        if rule["alert"] == alert:
            rule["expr"] = "vector(0) > 1"
    (tmp_path / local.RULES.name).write_text(yaml.safe_dump(found))
    (tmp_path / TESTS.name).write_text(TESTS.read_text())
    command = ["promtool", "test", "rules", str(tmp_path / TESTS.name)]
    assert subprocess.run(command, check=False, capture_output=True, timeout=60).returncode != 0


@pytest.mark.parametrize("file", [local.RULES, TESTS, DASHBOARD], ids=lambda file: file.name)
def test_only_metrics_of_the_table_are_asked_for(file: Path) -> None:
    histograms = {name for name, row in metrics.TABLE.items() if row.kind == metrics.HISTOGRAM}
    known = metrics.TABLE.keys() | {f"{name}_{part}" for name in histograms for part in ("bucket", "count", "sum")}
    asked = set(NAME.findall(file.read_text()))
    assert asked
    assert asked <= known


def test_a_panel_has_its_own_place_and_a_query() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert all(target["expr"] for panel in panels for target in panel["targets"])


def test_the_receiver_shows_a_trace_as_a_tree() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("above"), tracer.start_as_current_span("below", attributes={"code": "OK\nx"}):
        pass
    request = encode_spans(exporter.get_finished_spans())
    traces = Traces(most=2)
    traces.take(request)
    (trace,) = traces.ids()
    text = waterfall(traces.spans(trace))
    assert re.search(r"ms  \S+: above\n.*ms    \S+: below  code=OK x", text)
    assert f"trace {trace}: " in text
    assert text.splitlines()[0].endswith(" ms, 2 spans")
    assert f"/traces/{trace}" in listing(traces)
    assert listing(traces).startswith("1 trace, the newest first; ")
    assert "    2 spans  1 process  " in listing(traces)
    assert listing(Traces()).startswith("0 traces, ")
    assert traces.spans("unknown") == []


def test_the_oldest_trace_goes_when_there_are_too_many() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces = Traces(most=2)
    for name in ("first", "second", "third"):
        provider.get_tracer("test").start_span(name).end()
        traces.take(encode_spans(exporter.get_finished_spans()))
        exporter.clear()
    assert [traces.spans(trace)[0].name for trace in traces.ids()] == ["third", "second"]


@pytest.fixture
def receiver(tmp_path):
    made = Receiver(tmp_path, "the token")
    made.start()
    yield made
    made.stop()


def asked(receiver: Receiver, method: str, path: str, body: bytes = b"", **headers: str | bytes) -> int:
    url = f"http://127.0.0.1:{receiver.http_port}{path}"
    return httpx.Client(trust_env=False).request(method, url, content=body, headers=headers).status_code


BASIC = "Basic " + base64.b64encode(b"anybody:the token").decode()
SPANS = b'{"resourceSpans": []}'


@pytest.mark.parametrize("shown", ["Bearer the token", "bearer the token", BASIC])
def test_the_receivers_pages_open_to_its_token(receiver, shown) -> None:
    assert asked(receiver, "GET", "/", authorization=shown) == 200
    assert asked(receiver, "POST", "/v1/traces", SPANS, authorization=shown) == 401


def test_what_triton_is_given_lets_spans_in_and_opens_no_page(receiver) -> None:
    """It sends it to whoever has the port by then (review S2)."""
    name, shown = receiver.settings["FILMGATE_TRITON_OTLP_HEADERS"].split("=", 1)
    assert name == "authorization"
    assert receiver.token not in shown
    assert asked(receiver, "POST", "/v1/traces", SPANS, authorization=shown) == 200
    assert asked(receiver, "GET", "/", authorization=shown) == 401


@pytest.mark.parametrize(
    "shown",
    ["", "Bearer", "Bearer the", "the token", "Basic the token", "Basic YQ==", b"Basic \xe9", "Digest the token"],
)
def test_the_receiver_opens_to_nothing_else(receiver, shown) -> None:
    assert asked(receiver, "GET", "/", authorization=shown) == 401
    assert asked(receiver, "POST", "/v1/traces", b'{"resourceSpans": []}', authorization=shown) == 401
    assert receiver.traces.ids() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"resourceSpans": 7}', b"\xff"])
def test_a_body_that_is_no_trace_is_refused(receiver, body) -> None:
    shown = f"Bearer {writing(receiver.token)}"
    assert asked(receiver, "POST", "/v1/traces", body, authorization=shown) == 400


def test_the_receivers_socket_is_where_only_its_owner_comes(tmp_path) -> None:
    watch = local.Watch(tmp_path / "home", Ports(), local.WatchPorts())
    socket = Path(watch.settings["FILMGATE_OTLP_ENDPOINT"].removeprefix("unix:"))
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "home" / "secrets" / "telemetry").stat().st_mode & 0o777 == 0o600
    assert watch.settings["FILMGATE_TRITON_OTLP_URL"].startswith("http://127.0.0.1:")


def test_a_password_is_drawn_at_each_start(tmp_path) -> None:
    """One that came into wrong hands is worth nothing after the next start (review S2)."""
    urls, kept = set(), set()
    for _ in range(2):
        urls.add(local.Watch(tmp_path / "home", Ports(), local.WatchPorts()).traces)
        kept.add((tmp_path / "home" / "secrets" / "telemetry").read_bytes().hex())
    assert len(urls) == len(kept) == 2
    assert all(any(password in url for url in urls) for password in kept)


def test_prometheus_takes_the_password_that_is_rendered(tmp_path) -> None:
    assert local.hashed("a") != local.hashed("a"), "each has a salt of its own"
    file = tmp_path / "web.yaml"
    file.write_text(yaml.safe_dump({"basic_auth_users": {"filmgate": local.hashed("a")}}))
    promtool("check", "web-config", str(file))

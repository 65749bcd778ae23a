"""The one table of metrics, the instruments made from it, and the page."""

import ast
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.observability.traces import Receiver
from services.runtime import metrics
from tests.support.figures import figure
from tests.support.source import ROOT, below

LABELS = {"method", "code", "reason", "kind", "outcome", "model", "stage"}
"""Every label there is: words of the code, of contracts and of the catalog, with few values each."""
IDS = re.compile(r"(^|_)(id|ids|account|organization|project|video|key|user|address|request|trace)(_|$)")
MAKERS = {"create_counter", "create_gauge", "create_histogram", "create_up_down_counter", "get_meter", "MeterProvider"}
TOLD = {"count": metrics.COUNTER, "set_gauge": metrics.GAUGE, "observe": metrics.HISTOGRAM, "watch": ""}


def used() -> dict[str, set[str]]:
    """Every name that the services give a value, with the functions that they give it by."""
    found: dict[str, set[str]] = {}
    for source in below("services"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {f"metrics.{name}" for name in TOLD}:
                assert isinstance(node.args[0], ast.Constant), f"{source.path}:{node.lineno}: no name from the table"
                found.setdefault(str(node.args[0].value), set()).add(ast.unparse(node.func).removeprefix("metrics."))
            if (
                source.path.endswith("runtime/metrics.py")
                and isinstance(node, ast.Call)
                and ast.unparse(node.func) == "watch"
            ):
                found.setdefault(ast.literal_eval(node.args[0]), set()).add("watch")
    return found


def test_what_is_measured_is_what_the_table_names() -> None:
    assert used().keys() == metrics.TABLE.keys()


def test_each_is_given_its_value_as_its_kind_is() -> None:
    for name, ways in used().items():
        kinds = {TOLD[way] or metrics.TABLE[name].kind for way in ways}
        assert kinds == {metrics.TABLE[name].kind}, name
        assert "watch" not in ways or metrics.TABLE[name].kind != metrics.HISTOGRAM


def test_instruments_are_made_in_one_place() -> None:
    faults = [
        f"{source.path}:{node.lineno}"
        for source in below("services", "deploy")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in MAKERS
        and source.path != "services/runtime/metrics.py"
    ]
    assert faults == []


def test_names_say_their_unit_and_labels_are_few_and_never_ids() -> None:
    assert {label for row in metrics.TABLE.values() for label in row.labels.split()} <= LABELS
    assert not [label for label in LABELS if IDS.search(label)]
    for name, row in metrics.TABLE.items():
        plain = name.removesuffix("_total")
        assert re.fullmatch(r"filmgate(_[a-z]+)+", name), name
        assert name.endswith("_total") == (row.kind == metrics.COUNTER), name
        assert {"s": plain.endswith("_seconds"), "By": plain.endswith("_bytes"), "1": True}[row.unit], name
        assert row.unit != "1" or not plain.endswith(("_seconds", "_bytes")), name
        assert len(row.labels.split()) <= 2, name


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("filmgate_unheard_of", {}),
        ("filmgate_lots_lapsed_total", {"account": "acc_1"}),
        ("filmgate_jobs_dead", {}),
        ("filmgate_job_duration_seconds", {"kind": "film", "outcome": "done"}),
    ],
)
def test_a_counter_outside_of_the_table_is_refused(name: str, labels: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        metrics.count(name, **labels)


def test_the_page_says_what_was_measured_and_a_browser_sees_nothing_else() -> None:
    before = figure("filmgate_lots_lapsed_total")
    metrics.count("filmgate_lots_lapsed_total", 2)
    metrics.set_gauge("filmgate_jobs_dead", 3, kind="toy")
    metrics.observe("filmgate_job_duration_seconds", 0.3, kind="toy", outcome="done")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    end = metrics.serve("127.0.0.1", port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            page = answer.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
    finally:
        end()
    assert figure("filmgate_lots_lapsed_total", page=page) == before + 2
    assert figure("filmgate_jobs_dead", {"kind": "toy"}, page) == 3
    bucket = {"kind": "toy", "outcome": "done", "le": "0.5"}
    assert figure("filmgate_job_duration_seconds_bucket", bucket, page) == 1
    assert figure("filmgate_process_memory_bytes", page=page) > 10 * 2**20
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert families["filmgate_lots_lapsed"].documentation == metrics.TABLE["filmgate_lots_lapsed_total"].meaning
    assert all(name.startswith("filmgate_") for name in families)


def test_port_zero_is_no_page() -> None:
    metrics.serve("127.0.0.1", 0)()


def test_with_an_endpoint_the_same_goes_out_by_otlp(tmp_path) -> None:
    receiver = Receiver(tmp_path, "token")
    receiver.start()
    endpoint = receiver.settings["FILMGATE_OTLP_ENDPOINT"]
    told = f"metrics.configure('toy', '{endpoint}'); metrics.count('filmgate_lots_lapsed_total', 2)"
    code = f"from services.runtime import metrics; {told}"  # what is left is sent when the process ends
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT, env={"PYTHONPATH": f"{ROOT}:{ROOT}/gen"}
    )
    receiver.stop()
    assert receiver.metrics == {"toy": {"filmgate_lots_lapsed"}}


def test_a_process_ends_soon_though_its_endpoint_does_not_answer() -> None:
    code = """
import time
from services.runtime import metrics, tracing
from services.runtime.caller import Call
metrics.configure("toy", "http://127.0.0.1:9")
tracing.configure("toy", "http://127.0.0.1:9")
metrics.count("filmgate_lots_lapsed_total")
tracing.end(tracing.begin(Call("/toy", "req_1"), f"00-{'a' * 32}-{'b' * 16}-01"))
print(time.time())
"""
    env = {"PYTHONPATH": f"{ROOT}:{ROOT}/gen"}
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT, env=env, capture_output=True)
    assert time.time() - float(done.stdout) < 12, "the supervisor kills after 15 s"

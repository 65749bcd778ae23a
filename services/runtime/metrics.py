"""Metrics: the one table of all, the instruments made from it, and the page that Prometheus reads.

    metrics.observe("filmgate_request_duration_seconds", 0.004, method="/filmgate.toy.v1.Toys/Make", code="OK")

A name that is not in the table, or other labels than it gives, raises KeyError. Labels are words with few values, never
an id: nothing here is about a person. Gauges read from a database say the same in every replica of a process.
"""

import functools
import http.server
import resource
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from services.runtime import config

PATH = "/metrics"
SEND_SECONDS, SEND_TIMEOUT_SECONDS = 15.0, 2
COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


class Metric(NamedTuple):
    """A row of the table. `unit` is s, By or 1; `labels` and `processes` are words with spaces between."""

    kind: str
    unit: str
    processes: str
    meaning: str
    labels: str = ""


TABLE = {name: Metric(**row) for name, row in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_bytes()).items()}
"""The rows of metrics.yaml by name."""
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1200)
Readings = Callable[[], Iterable[tuple[float, Mapping[str, str]]]]
_registry = CollectorRegistry(auto_describe=False)
_process, _endpoint = "", ""
_watched: dict[str, Readings] = {}


def configure(process: str, endpoint: str) -> None:
    """Before first use: name the process, and have all sent to an OTLP endpoint (gRPC) too, unless it is empty."""
    global _process, _endpoint
    _process, _endpoint = process, endpoint


@functools.cache
def _meter() -> Meter:
    page_reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=_registry)
    provider = MeterProvider(
        [page_reader, *_sender()],
        resource=Resource({"service.name": _process}),
        exemplar_filter=AlwaysOffExemplarFilter(),
        shutdown_on_exit=bool(_endpoint),
    )
    return provider.get_meter("filmgate")


def _sender() -> Iterable[MetricReader]:
    if _endpoint:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter  # noqa: PLC0415  rare

        insecure = config.plain(_endpoint)
        exporter = OTLPMetricExporter(_endpoint, insecure=insecure, timeout=SEND_TIMEOUT_SECONDS)
        yield PeriodicExportingMetricReader(exporter, export_interval_millis=SEND_SECONDS * 1000)


@functools.cache
def _instrument(name: str) -> tuple[Any, frozenset[str]]:
    """The instrument of a row, made at first use, with the names of its labels."""
    row = TABLE[name]
    plain, labels = name.removesuffix("_total"), frozenset(row.labels.split())
    about = {"unit": "" if row.unit == "1" else row.unit, "description": row.meaning}
    if name in _watched:
        make = _meter().create_observable_counter if row.kind == COUNTER else _meter().create_observable_gauge
        return make(plain, [functools.partial(_read, name)], **about), labels
    if row.kind == COUNTER:
        return _meter().create_counter(plain, **about), labels
    if row.kind == GAUGE:
        return _meter().create_gauge(plain, **about), labels
    return _meter().create_histogram(plain, **about, explicit_bucket_boundaries_advisory=_BUCKETS), labels


def _labeled(name: str, kind: str, labels: Mapping[str, str]) -> Any:
    instrument, wanted = _instrument(name)
    if labels.keys() != wanted or TABLE[name].kind != kind:
        raise KeyError(f"{name} is a {TABLE[name].kind} with the labels {sorted(wanted)}")
    return instrument


def count(name: str, value: float = 1, **labels: str) -> None:
    """Add to a counter."""
    _labeled(name, COUNTER, labels).add(value, labels)


def set_gauge(name: str, value: float, **labels: str) -> None:
    """Set a gauge; it keeps its value until it is told another."""
    _labeled(name, GAUGE, labels).set(value, labels)


def observe(name: str, value: float, **labels: str) -> None:
    """Put a value into a histogram."""
    _labeled(name, HISTOGRAM, labels).record(value, labels)


def watch(name: str, read: Readings) -> None:
    """Have a counter or gauge read whenever somebody looks: `read` answers (value, labels) pairs, in any thread.

    Of two readers of a name the later one counts.
    """
    _watched[name] = read
    _instrument(name)


def _read(name: str, _: CallbackOptions) -> Iterable[Observation]:
    return [Observation(value, dict(labels)) for value, labels in _watched[name]()]


def page() -> bytes:
    """What Prometheus reads, in its text format."""
    return generate_latest(_registry)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


class _Page(http.server.BaseHTTPRequestHandler):
    timeout = 5  # a client that says nothing holds no thread

    def do_GET(self) -> None:
        known = self.path.partition("?")[0] == PATH
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.end_headers()
        if known:
            self.wfile.write(page())

    def log_message(self, *_: object) -> None:
        """Say nothing: a look each few seconds is no event."""


def serve(address: str, port: int) -> Callable[[], None]:
    """Serve the page on plain HTTP, from threads, so that a process whose loop hangs can be seen hanging.

    Port 0: not at all. Returns what ends it. Raises OSError when the port is taken.
    """
    _watch_process()
    if not port:
        return lambda: None
    _Server.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = _Server((address, port), _Page)
    threading.Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True).start()

    def end() -> None:
        server.shutdown()
        server.server_close()

    return end


def _watch_process() -> None:
    watch("filmgate_process_memory_bytes", lambda: [(_resident(), {})])
    watch("filmgate_process_cpu_seconds_total", lambda: [(time.process_time(), {})])


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

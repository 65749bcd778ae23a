"""Keeps the last traces that it is sent by OTLP (gRPC, or HTTP as Triton sends), and shows them as text.

For one machine, in memory; a house with more than one has a collector of its own. Other users of the machine neither
read nor write: gRPC comes by a unix socket in a folder of ours, HTTP with a token (review S2, "loopback is no lock").
"""

import base64
import collections
import hashlib
import hmac
import http.server
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

MAX_TRACES, MAX_SPANS = 500, 5000
MAX_BODY_BYTES = 16 * 2**20
BAR = 40
HTTP_PATH = "/v1/traces"
SOCKET = "otlp.sock"
USER = "filmgate"


class Span(NamedTuple):
    """One span; ids in hex, times in nanoseconds since 1970, `parent` empty for a root."""

    trace: str
    id: str
    parent: str
    service: str
    name: str
    begin: int
    end: int
    attributes: dict[str, Any]
    failed: bool
    words: str
    """Everything that it says, for those who look for what it must not say."""


class Traces:
    """The last traces, by id, the newest last. Safe in any thread."""

    def __init__(self, most: int = MAX_TRACES) -> None:
        self._most = most
        self._lock = threading.Condition()
        self._spans: collections.OrderedDict[str, list[Span]] = collections.OrderedDict()

    def take(self, request: trace_service_pb2.ExportTraceServiceRequest) -> None:
        """Keep what an exporter sends; the oldest trace goes when there are too many."""
        with self._lock:
            for span in _spans(request):
                kept = self._spans.setdefault(span.trace, [])
                if len(kept) < MAX_SPANS:
                    kept.append(span)
                if len(self._spans) > self._most:
                    self._spans.popitem(last=False)
            self._lock.notify_all()

    def ids(self) -> list[str]:
        """The ids of the traces that are kept, the newest first."""
        with self._lock:
            return list(reversed(self._spans))

    def wait(self, trace: str, least: int, seconds: float) -> list[Span]:
        """The spans of a trace, once there are so many, or after so many seconds."""
        with self._lock:
            self._lock.wait_for(lambda: len(self._spans.get(trace, ())) >= least, seconds)
        return self.spans(trace)

    def spans(self, trace: str) -> list[Span]:
        """The spans of a trace in the order in which they began; [] for one that is not known."""
        with self._lock:
            return sorted(self._spans.get(trace, []), key=lambda span: (span.begin, span.end))


def _spans(request: trace_service_pb2.ExportTraceServiceRequest) -> Iterable[Span]:
    for resource in request.resource_spans:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
                    str(about.get("service.name", "?")), span.name, span.start_time_unix_nano, span.end_time_unix_nano,
                    _attributes(span.attributes), span.status.code == span.status.STATUS_CODE_ERROR, f"{about} {span}",
                )  # fmt: skip


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}


def listing(traces: Traces) -> str:
    """The page of all traces: a line each with its id, its length, its first span."""
    lines = [f"{_counted(len(traces.ids()), 'trace')}, the newest first; one of them: /traces/<id>", ""]
    for trace in traces.ids():
        spans = traces.spans(trace)
        first, length = spans[0], max(span.end for span in spans) - spans[0].begin
        processes = _counted(len({span.service for span in spans}), "process", "processes")
        lines.append(
            f"/traces/{trace}  {length / 1e6:10.1f} ms  {_counted(len(spans), 'span'):>10}  {processes}"
            f"  {first.service} {first.name} {_told(first, ('http.status_code', 'request_id'))}"
        )
    return "\n".join(lines) + "\n"


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def waterfall(spans: list[Span]) -> str:
    """A trace as a tree: each span below its parent, with its time as a bar."""
    begin, end = min(span.begin for span in spans), max(span.end for span in spans)
    known = {span.id for span in spans}
    children = collections.defaultdict(list)
    for span in spans:
        children[span.parent if span.parent in known else ""].append(span)
    lines = [f"trace {spans[0].trace}: {(end - begin) / 1e6:.1f} ms, {_counted(len(spans), 'span')}", ""]

    def show(parent: str, depth: int) -> None:
        for span in children[parent]:
            lines.append(_line(span, depth, begin, max(1, end - begin)))
            show(span.id, depth + 1)

    show("", 0)
    return "\n".join(lines) + "\n"


def _line(span: Span, depth: int, begin: int, length: int) -> str:
    left = BAR * (span.begin - begin) // length
    width = max(1, BAR * (span.end - span.begin) // length)
    bar = (" " * left + "#" * width)[:BAR].ljust(BAR)
    name = f"{'  ' * depth}{span.service}: {span.name}"
    fault = " FAILED" if span.failed else ""
    return f"|{bar}| {(span.end - span.begin) / 1e6:9.1f} ms  {name}{fault}  {_told(span, span.attributes)}".rstrip()


def _told(span: Span, names: Iterable[str]) -> str:
    return " ".join(
        f"{name}={' '.join(str(span.attributes[name]).split())[:80]}" for name in names if name in span.attributes
    )


class _Grpc(trace_service_pb2_grpc.TraceServiceServicer, metrics_service_pb2_grpc.MetricsServiceServicer):
    """Takes spans. Of metrics only the names are kept, by process, since Prometheus reads them itself."""

    def __init__(self, take: Callable[[Any], None]) -> None:
        self._take = take
        self.metrics: dict[str, set[str]] = collections.defaultdict(set)

    def Export(self, request: Any, context: Any) -> Any:
        if isinstance(request, trace_service_pb2.ExportTraceServiceRequest):
            self._take(request)
            return trace_service_pb2.ExportTraceServiceResponse()
        for resource in request.resource_metrics:
            process = str(_attributes(resource.resource.attributes).get("service.name", "?"))
            self.metrics[process] |= {metric.name for scope in resource.scope_metrics for metric in scope.metrics}
        return metrics_service_pb2.ExportMetricsServiceResponse()


class Receiver:
    """Takes gRPC of the suite on the unix socket `folder`/otlp.sock, HTTP of Triton on a loopback port with the pages.

    Nobody else may enter `folder`. `token` (not empty) must come with every request for a page, as a bearer token or as
    the password of Basic; `writing(token)` with every span, and it opens no page. `http_port` 0: a free one.
    """

    def __init__(self, folder: Path, token: str, http_port: int = 0) -> None:
        self.traces, self.token = Traces(), token
        self._grpc = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        servicer = _Grpc(self.traces.take)
        self.metrics = servicer.metrics
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(servicer, self._grpc)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(servicer, self._grpc)
        self.socket = folder / SOCKET
        self.socket.unlink(missing_ok=True)  # what a killed one has left
        self._grpc.add_insecure_port(f"unix:{self.socket}")
        self._http = _Door(http_port, self.traces, token)
        self.http_port = int(self._http.server_address[1])

    @property
    def settings(self) -> dict[str, str]:
        """What makes a suite send its traces here."""
        return settings(self.socket, self.http_port, self.token)

    def start(self) -> None:
        """Begin to listen, in threads."""
        self._grpc.start()
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Listen no more; the traces stay readable."""
        self._grpc.stop(0)
        self._http.shutdown()
        self._http.server_close()


def writing(token: str) -> str:
    """Return the token that lets spans in, made of the one that opens the pages, which cannot be found from it.

    Triton sends it to whoever listens on the port, and does not look who that is: after the receiver has died it may be
    another user of the machine, who must not learn what opens the pages (review S2).
    """
    return hmac.new(token.encode(), b"spans", hashlib.sha256).hexdigest()


def settings(socket: Path, http_port: int, token: str) -> dict[str, str]:
    """Return what makes a suite send its traces to a receiver whose pages `token` opens."""
    return {
        "FILMGATE_OTLP_ENDPOINT": f"unix:{socket}",
        "FILMGATE_TRITON_OTLP_URL": f"http://127.0.0.1:{http_port}{HTTP_PATH}",
        "FILMGATE_TRITON_OTLP_HEADERS": f"authorization=Bearer {writing(token)}",
    }


def _of_json(body: bytes) -> trace_service_pb2.ExportTraceServiceRequest:
    """Read OTLP's JSON, whose ids are hex where protobuf's own JSON has base64."""
    told = json.loads(body)
    spans = (span for resource in told["resourceSpans"] for scope in resource["scopeSpans"] for span in scope["spans"])
    for span in spans:
        for key in ("traceId", "spanId", "parentSpanId"):
            span[key] = base64.b64encode(bytes.fromhex(span.get(key, ""))).decode()
    return json_format.ParseDict(told, trace_service_pb2.ExportTraceServiceRequest(), ignore_unknown_fields=True)


def _shown(authorization: str) -> str:
    """The token that a request shows, "" for none."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[2]
    except ValueError:  # not ASCII, not base64, or not UTF-8 in it
        return ""


class _Pages(http.server.BaseHTTPRequestHandler):
    server: "_Door"
    timeout = 10

    def do_GET(self) -> None:
        if self._let_in(self.server.token):
            traces = self.server.traces
            spans = traces.spans(self.path.removeprefix("/traces/"))
            self._answer(200 if spans or self.path == "/" else 404, waterfall(spans) if spans else listing(traces))

    def do_POST(self) -> None:
        if not self._let_in(writing(self.server.token)):
            return
        length = self.headers.get("Content-Length", "")
        if self.path != HTTP_PATH or not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self._answer(404, "")
            return
        try:
            self.server.traces.take(_of_json(self.rfile.read(int(length))))
        except (ValueError, LookupError, TypeError, json_format.ParseError):
            self._answer(400, "")
            return
        self._answer(200, "{}")

    def _let_in(self, token: str) -> bool:
        """Refuse whoever does not show the token."""
        if hmac.compare_digest(_shown(self.headers.get("Authorization", "")).encode(), token.encode()):
            return True
        self._answer(401, "")
        return False

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", f'Basic realm="{USER}"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Door(http.server.ThreadingHTTPServer):
    """The HTTP side, on loopback; every request shows a token."""

    def __init__(self, port: int, traces: Traces, token: str) -> None:
        super().__init__(("127.0.0.1", port), _Pages)
        self.traces, self.token = traces, token

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away: any user of the machine could fill the log with it."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main(arguments: list[str]) -> int:
    """Receive and show until a signal: `python -m deploy.observability.traces FOLDER HTTP_PORT TOKEN_FILE`.

    The token comes in a file, since everybody can read a command line.
    """
    if len(arguments) != 3 or not arguments[1].isdigit():
        sys.stderr.write("use: python -m deploy.observability.traces FOLDER HTTP_PORT TOKEN_FILE\n")
        return 2
    folder, port, file = arguments
    receiver = Receiver(Path(folder), Path(file).read_bytes().hex(), int(port))
    receiver.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    receiver.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

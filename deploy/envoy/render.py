"""Renders Envoy's configuration from the template edge.yaml, the contracts and the settings of one deployment."""

import dataclasses
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.envoy import connections, inside, rotation, tracing
from deploy.envoy.contracts import methods
from deploy.envoy.refusals import EARLY_ID, REQUEST_ID, local_reply_config
from deploy.envoy.routes import TYPE, plain_methods, preflight, routes
from deploy.envoy.upstreams import clusters

TEMPLATE = Path(__file__).with_name("edge.yaml")
CHECK_HEADERS = ("authorization", "x-request-id", "user-agent", "content-type")
"""What auth's Check is shown of a request's headers."""
PATIENCE = 2
"""Envoy cuts an upload off at so many times the limit. Up to there media reads on before it refuses: a client that
sends to the end before it reads would find a connection cut under it, and no answer."""
BURST_SECONDS = 5
MIN_MEMORY_BYTES = 64 * 2**20
"""Envoy at rest allocates 13 MiB; with less than this, hardly a transfer would pass."""
ROUTES = "envoy_routes.yaml"
"""Where `make protos` keeps what `published` answers, beside the descriptor set."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """One deployment of the edge. Relative paths hold from the folder that Envoy is started in."""

    addresses: Mapping[str, str]
    """host:port of auth, billing, generation, privacy and media."""
    certificates: Path
    """Folder with ca.crt, edge.crt and edge.key."""
    descriptors: Path
    """The descriptor set gen/filmgate.pb; the routes that `make protos` wrote lie beside it."""
    admin_socket: Path
    """Unix socket of the admin page; at most 107 bytes long. Envoy's other socket lies beside it, in a folder that
    nobody else may enter."""
    access_log: Path | None = None
    """File of the access log; None: standard output."""
    bind: str = "127.0.0.1"
    port: int = 8080
    health_port: int = 0
    """Plain HTTP: /ready for kubelets, which do not reach the admin page; 0: none."""
    metrics_port: int = 0
    """Plain HTTP: /stats/prometheus; 0: none."""
    otlp_endpoint: str = ""
    """Where traces are sent by OTLP over gRPC, such as http://127.0.0.1:4317; empty: nowhere."""
    trace_ratio: float = 0.1
    """Share of the requests whose traces are recorded, by all processes."""
    tls_certificate: Path | None = None
    """Public certificate; with its key it makes the listener speak TLS."""
    tls_key: Path | None = None
    secrets: Path | None = None
    """Folder for what makes Envoy read its certificates anew when they change; None: they are read once."""
    trusted_proxies: int = 0
    """How many proxies of our own stand in front and append to X-Forwarded-For."""
    cors_origins: tuple[str, ...] = ("*",)
    """Web origins whose pages may call. No cookie ever counts, so any page may."""
    requests_per_second: int = 100
    """Per client address (IPv6: per /64), with bursts of five times as many."""
    connections_per_address: int = 256
    """Open connections per client address (IPv6: per /64); 0: as many as the edge has. See `connections`. With trusted
    proxies in front, whose connections are everybody's, it does not hold."""
    memory_bytes: int = 768 * 2**20
    """What Envoy may allocate, at least MIN_MEMORY_BYTES: the overload manager acts from 70 % on (B1). The process has
    more, for its code, its stacks and what the allocator keeps."""
    seed: int = dataclasses.field(default_factory=lambda: secrets.randbits(63))
    """Decides which addresses are counted together; another one for each configuration."""
    upload_limit_bytes: int = 32 * 2**20
    """Largest file."""


class _Plain(yaml.CSafeDumper):
    """Writes repeated parts out, so that the result can be read from top to bottom. In C: it is half a megabyte."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def render(settings: Settings) -> str:
    """Return the configuration as YAML. Raises ValueError when the settings do not fit together."""
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise ValueError("tls_certificate and tls_key go together")
    if settings.connections_per_address < 0:
        raise ValueError("connections_per_address is below 0")
    if settings.memory_bytes < MIN_MEMORY_BYTES:
        raise ValueError(f"memory_bytes is below {MIN_MEMORY_BYTES}")
    filled = _filled(yaml.safe_load(TEMPLATE.read_text()), _values(settings))
    if settings.connections_per_address and not settings.trusted_proxies:
        folder = settings.admin_socket.parent
        filled = connections.bounded(filled, settings.connections_per_address, settings.seed, folder)
    return dump(filled)


def dump(data: Any) -> str:
    """Write YAML as a person reads it."""
    return yaml.dump(data, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


def write(settings: Settings, path: Path) -> Path:
    """Write the configuration to a file, with the secrets that it names, and answer its path."""
    path.write_text(render(settings))
    if settings.secrets is not None:
        rotation.write("edge", settings.certificates / "edge.crt", settings.certificates / "edge.key", settings.secrets)
        if settings.tls_certificate and settings.tls_key:
            rotation.write("public", settings.tls_certificate, settings.tls_key, settings.secrets)
    return path


def published(descriptors: Path, scopes: Mapping[str, str]) -> dict[str, Any]:
    """What the contracts say to the edge: the transcoded services and the routes. `make protos` keeps it in a file.

    `scopes` names the scope of each method that customers call (filmgate.auth.v1.Keys.CreateKey). Raises ValueError for
    a method that asks for a credential and has no scope, or the other way round.
    """
    transcoded = [
        dataclasses.replace(method, scope=scopes.get(method.name.replace("/", "."), ""))
        for method in methods(descriptors)
    ]
    every = [*transcoded, *plain_methods()]
    if odd := [method.name for method in every if (method.gate == "OPEN") == bool(method.scope)]:
        raise ValueError(f"gate and scope do not go together: {', '.join(odd)}")
    return {"services": sorted({method.service for method in transcoded}), "routes": routes(every)}


def _values(settings: Settings) -> dict[str, Any]:
    cors = _cors(settings.cors_origins)
    table = yaml.safe_load(settings.descriptors.with_name(ROUTES).read_text())
    return {
        "admin_socket": str(settings.admin_socket),
        "bind": settings.bind,
        "memory_bytes": settings.memory_bytes,
        "port": settings.port,
        "listener_tls": _listener_tls(settings),
        "trusted_proxies": settings.trusted_proxies,
        "access_logs": [_access_log(settings.access_log)],
        "refusals": local_reply_config(settings.upload_limit_bytes),
        "upload_limit_bytes": PATIENCE * settings.upload_limit_bytes,
        "burst": BURST_SECONDS * settings.requests_per_second,
        "requests_per_second": settings.requests_per_second,
        "check_headers": [{"exact": name, "ignore_case": True} for name in CHECK_HEADERS],
        "descriptors": str(settings.descriptors),
        "services": table["services"],
        "cors": cors,
        "routes": [preflight(cors), *table["routes"]],
        "health": inside.listener(inside.HEALTH, settings.bind, settings.health_port),
        "tracing": tracing.tracing(settings.otlp_endpoint, settings.trace_ratio),
        "forged": [{"remove": name} for name in ("x-request-id", *tracing.FORGED)],
        "metrics": inside.listener(inside.METRICS, settings.bind, settings.metrics_port),
        "clusters": _clusters(settings),
    }


def _clusters(settings: Settings) -> list[dict[str, Any]]:
    shown = settings.health_port or settings.metrics_port
    own = [inside.cluster(settings.admin_socket)] if shown else []
    own += [tracing.cluster(settings.otlp_endpoint)] if settings.otlp_endpoint else []
    return [*clusters(settings.addresses, settings.certificates, settings.secrets), *own]


def _filled(node: Any, values: Mapping[str, Any]) -> Any:
    """Replace each "${name}" by its value; a key or an element whose value is None is left out."""
    if isinstance(node, dict):
        pairs = ((key, _filled(value, values)) for key, value in node.items())
        return {key: value for key, value in pairs if value is not None}
    if isinstance(node, list):
        return [value for item in node if (value := _filled(item, values)) is not None]
    if isinstance(node, str) and node.startswith("${"):
        return values[node[2:-1]]
    return node


def _listener_tls(settings: Settings) -> dict[str, Any] | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{TYPE}extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "alpn_protocols": ["h2", "http/1.1"],
                **rotation.own("public", settings.tls_certificate, settings.tls_key, settings.secrets),
            },
        },
    }


def _cors(origins: tuple[str, ...]) -> dict[str, Any]:
    """What pages of these web origins may do: all that the API has, without cookies."""
    allowed = [".*" if origin == "*" else re.escape(origin) for origin in origins]
    return {
        "@type": f"{TYPE}extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"safe_regex": {"regex": regex}} for regex in allowed],
        "allow_methods": "GET, HEAD, POST, PATCH, DELETE",
        "allow_headers": "authorization, content-type, idempotency-key, range, if-none-match, if-range",
        "expose_headers": "x-request-id, retry-after, content-range, accept-ranges, etag",
        "max_age": "3600",
    }


def _access_log(file: Path | None) -> dict[str, Any]:
    """One JSON line per request: no query, no body, no credential, and a path only where it is a published one."""
    fields = {
        "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "event": "request",
        "service": "edge",
        "request_id": REQUEST_ID,
        "trace_id": "%TRACE_ID%",
        # Of Check's answer: an account's id and that of its key or session, which logs may show as they are.
        "account": "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:account)%",
        "credential": "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:credential)%",
        "early_id": EARLY_ID,
        "route": "%ROUTE_NAME%",
        "request": "%FILTER_STATE(filmgate.request:PLAIN)%",
        "status": "%RESPONSE_CODE%",
        "milliseconds": "%DURATION%",
        "upstream": "%UPSTREAM_CLUSTER%",
        "upstream_milliseconds": "%RESPONSE_DURATION%",
        "received_bytes": "%BYTES_RECEIVED%",
        "sent_bytes": "%BYTES_SENT%",
        "protocol": "%PROTOCOL%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
    }
    kind, package, where = ("Stdout", "stream", {}) if file is None else ("File", "file", {"path": str(file)})
    config = {
        "@type": f"{TYPE}extensions.access_loggers.{package}.v3.{kind}AccessLog",
        "log_format": {"json_format": fields},
        **where,
    }
    return {"name": f"envoy.access_loggers.{kind.lower()}", "typed_config": config}

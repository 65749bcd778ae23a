"""The edge begins every trace: it decides which are recorded, and sends its own spans by OTLP.

What Envoy would say of a request by itself (address, user agent, URL) is overwritten: a span has no personal data.
"""

from typing import Any
from urllib.parse import urlsplit

from deploy.envoy.routes import TYPE
from deploy.envoy.upstreams import PROTOCOL

OTLP = "otlp"
UNIX = "unix:"
FORGED = ("traceparent", "tracestate", "baggage", "x-client-trace-id", "x-envoy-force-trace")
"""What a stranger may not say: their trace would join their ids to ours, and its flag would have us record at will."""
_SAID = {
    "request": "%FILTER_STATE(filmgate.request:PLAIN)%",
    "request_id": "%STREAM_ID%",
    "route": "%ROUTE_NAME%",
}
# By a literal: a tag whose value is empty would leave Envoy's own.
_UNSAID = ("http.url", "peer.address", "user_agent", "downstream_cluster", "grpc.authority", "grpc.message")


def tracing(endpoint: str, ratio: float) -> dict[str, Any] | None:
    """How the edge traces: this share of requests, 0 to 1; None without an endpoint.

    Raises ValueError for another ratio, or an endpoint that is not of the form http://host:port or unix:/path.
    """
    if not endpoint:
        return None
    _address(endpoint)
    if not 0 <= ratio <= 1:
        raise ValueError("the ratio of traces is not between 0 and 1")
    return {
        "client_sampling": {"value": 0},
        "random_sampling": {"value": ratio * 100},
        "spawn_upstream_span": False,
        "operation": "%ROUTE_NAME%",
        "custom_tags": [
            *({"tag": tag, "value": text} for tag, text in _SAID.items()),
            *({"tag": tag, "literal": {"value": "-"}} for tag in _UNSAID),
        ],
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": f"{TYPE}config.trace.v3.OpenTelemetryConfig",
                "service_name": "edge",
                "grpc_service": {"envoy_grpc": {"cluster_name": OTLP}, "timeout": "5s"},
            },
        },
    }


def cluster(endpoint: str) -> dict[str, Any]:
    """The way to the endpoint; with https by TLS, its certificate held against the system's authorities."""
    address = {"address": _address(endpoint)}
    made: dict[str, Any] = {
        "name": OTLP,
        "type": "STATIC" if endpoint.startswith(UNIX) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": OTLP, "endpoints": [{"lb_endpoints": [{"endpoint": address}]}]},
        "typed_extension_protocol_options": {
            PROTOCOL: {
                "@type": f"type.googleapis.com/{PROTOCOL}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
    host = urlsplit(endpoint).hostname
    if endpoint.startswith("https:"):
        authorities = {"filename": "/etc/ssl/certs/ca-certificates.crt"}
        names = [{"san_type": "DNS", "matcher": {"exact": host}}]
        validation = {"trusted_ca": authorities, "match_typed_subject_alt_names": names}
        made["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{TYPE}extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": host,
                "common_tls_context": {"validation_context": validation},
            },
        }
    return made


def _address(endpoint: str) -> dict[str, Any]:
    """Where an endpoint is, as Envoy says it. Raises ValueError for one of another form."""
    if endpoint.startswith(f"{UNIX}/"):
        return {"pipe": {"path": endpoint.removeprefix(UNIX)}}
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.port:
        raise ValueError("the OTLP endpoint is not of the form http://host:port or unix:/path")
    return {"socket_address": {"address": parts.hostname, "port_value": parts.port}}

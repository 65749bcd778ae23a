"""Envoy's clusters: the services and media over mutual TLS 1.3, each known by the name in its certificate."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.envoy import rotation
from deploy.envoy.routes import PAGES, REFUSALS, TYPE

GRPC = ("auth", "billing", "generation", "privacy")
NAMES = (*GRPC, "media")
PROTOCOL = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_LIMITS = {"max_pending_requests": 1024, "max_requests": 4096, "max_retries": 64}
_MEDIA_CONNECT_SECONDS = 5
"""Media makes TLS connections in the loop that also moves its transfers: in a burst of new ones the last are not made
within a second, and the edge would answer 503 (C2)."""


@dataclasses.dataclass(frozen=True)
class _Upstream:
    """A cluster: the process that it leads to, by its name in the certificate, and the connections that it may have."""

    peer: str
    connections: int = 256
    connect_seconds: int = 1


_UPSTREAMS = {
    **{name: _Upstream(name) for name in GRPC},
    # Each connection serves one transfer; media bounds them per organization.
    "media": _Upstream("media", 768, _MEDIA_CONNECT_SECONDS),
    # What anybody may read: strangers who ask for much of it at once take no connection from transfers (C2).
    PAGES: _Upstream("media", 16, _MEDIA_CONNECT_SECONDS),
}


def clusters(addresses: Mapping[str, str], certificates: Path, secrets: Path | None = None) -> list[dict[str, Any]]:
    """One cluster per name. `addresses` are host:port; `certificates` has ca.crt, edge.crt and edge.key.

    With a folder `secrets` the edge's certificate is read anew when it changes: see `rotation`.
    Raises ValueError when an address is missing or has no port.
    """
    if missing := set(NAMES) - addresses.keys():
        raise ValueError(f"there is no address of {', '.join(sorted(missing))}")
    made = [
        _cluster(name, upstream, addresses[upstream.peer], _tls(upstream.peer, certificates, secrets))
        for name, upstream in _UPSTREAMS.items()
    ]
    return [*made, _detour()]


def _cluster(name: str, upstream: _Upstream, address: str, tls: Mapping[str, Any]) -> dict[str, Any]:
    """A name may stand for several processes; each address that it resolves to is one. No process is ever ejected:
    with one of each, that would turn a hiccup into an outage."""
    host, _, port = address.rpartition(":")
    endpoint = {"address": {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}}
    return {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": f"{upstream.connect_seconds}s",
        "per_connection_buffer_limit_bytes": 1048576,
        "load_assignment": _assignment(name, endpoint),
        "circuit_breakers": {"thresholds": [{**_LIMITS, "max_connections": upstream.connections}]},
        "typed_extension_protocol_options": _protocol(http2=name in GRPC),
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{TYPE}extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": upstream.peer,
                "common_tls_context": tls,
            },
        },
    }


def _detour() -> dict[str, Any]:
    """The way to our own listener of refusals, inside this process."""
    endpoint = {"address": {"envoy_internal_address": {"server_listener_name": REFUSALS}}}
    return {"name": REFUSALS, "type": "STATIC", "load_assignment": _assignment(REFUSALS, endpoint)}


def _assignment(name: str, endpoint: dict[str, Any]) -> dict[str, Any]:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]}


def _tls(name: str, certificates: Path, secrets: Path | None) -> dict[str, Any]:
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        **rotation.own("edge", certificates / "edge.crt", certificates / "edge.key", secrets),
        "validation_context": {
            "trusted_ca": {"filename": str(certificates / "ca.crt")},
            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": name}}],
        },
    }


def _protocol(*, http2: bool) -> dict[str, Any]:
    """HTTP/2 for gRPC, with pings that find a dead peer (the services allow one each 10 s); HTTP/1.1 for media, whose
    idle connections we close before it does."""
    ping = {"connection_keepalive": {"interval": "15s", "timeout": "10s"}}
    explicit: dict[str, Any] = {"http2_protocol_options": ping} if http2 else {"http_protocol_options": {}}
    options = {
        "explicit_http_config": explicit,
        "common_http_protocol_options": {"idle_timeout": "300s" if http2 else "15s"},
    }
    return {PROTOCOL: {"@type": f"type.googleapis.com/{PROTOCOL}", **options}}

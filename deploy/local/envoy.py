"""The edge of the embedded suite: its configuration, rendered from the one template, and the command that runs it."""

from collections.abc import Mapping
from pathlib import Path

from deploy.envoy.envoy import command as envoy_command
from deploy.envoy.render import Settings, write
from deploy.local.config import ROOT
from deploy.local.ports import Ports

UPSTREAMS = ("auth", "billing", "generation", "privacy", "media")


def command(home: Path, ports: Ports, admin_socket: Path, settings: Mapping[str, str]) -> list[str]:
    """Write `home`/run/envoy.yaml and answer the command line. FILMGATE_EDGE_REQUESTS_PER_SECOND (default 100) is the
    limit per client address."""
    edge = Settings(
        addresses={name: f"127.0.0.1:{ports.of(name)}" for name in UPSTREAMS},
        certificates=home / "certs",
        descriptors=ROOT / "gen" / "filmgate.pb",
        admin_socket=admin_socket,
        port=ports.edge_port,
        metrics_port=ports.edge_metrics_port,
        otlp_endpoint=settings.get("FILMGATE_OTLP_ENDPOINT", ""),
        trace_ratio=float(settings.get("FILMGATE_EDGE_TRACE_RATIO", "0.1")),
        requests_per_second=int(settings.get("FILMGATE_EDGE_REQUESTS_PER_SECOND", "100")),
        connections_per_address=int(settings.get("FILMGATE_EDGE_CONNECTIONS_PER_ADDRESS", "256")),
        memory_bytes=int(settings.get("FILMGATE_EDGE_MEMORY_BYTES", Settings.memory_bytes)),
    )
    return envoy_command(write(edge, home / "run" / "envoy.yaml"))

"""The edge's settings from the environment, where no supervisor renders for it: `python -m deploy.envoy` reads them."""

import dataclasses
from pathlib import Path

from deploy.envoy import render
from deploy.envoy.upstreams import NAMES
from services.runtime.config import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class EdgeSettings(Settings):
    """What the edge reads beside the settings of every process. Its certificate lies in `home`/certs."""

    name: str = dataclasses.field(default="edge", metadata={"fixed": True})
    edge_port: int = 8080
    health_port: int = 8110
    metrics_port: int = 8130
    edge_tls_cert: Path | None = None
    """The public certificate; with its key it makes the edge speak TLS."""
    edge_tls_key: Path | None = None
    edge_trusted_proxies: int = 0
    """How many proxies of one's own stand in front and append to X-Forwarded-For."""
    edge_cors_origins: str = "*"
    """Comma-separated web origins whose pages may call."""
    edge_trace_ratio: float = 0.1
    """Share of the requests whose traces are recorded, by all processes, where there is an OTLP endpoint."""
    edge_requests_per_second: int = 100
    """Per client address, with bursts of five times as many."""
    edge_connections_per_address: int = 256
    """Open connections per client address; 0: no limit but the edge's own. Trusted proxies are exempt."""
    edge_memory_bytes: int = render.Settings.memory_bytes
    """What Envoy may allocate, at least 64 MiB; the edge sheds load before. Its container needs a third more."""

    def configuration(self, folder: Path, descriptors: Path) -> render.Settings:
        """Settings of a configuration that Envoy reads from `folder`, with its admin socket there.

        `descriptors` is the descriptor set of `make protos`, and must be a file that Envoy can read too.
        """
        return render.Settings(
            addresses={name: self.address(name) for name in NAMES},
            certificates=self.home / "certs",
            descriptors=descriptors,
            admin_socket=folder / "admin.sock",
            secrets=folder,
            bind=self.bind,
            port=self.edge_port,
            health_port=self.health_port,
            metrics_port=self.metrics_port,
            otlp_endpoint=self.otlp_endpoint,
            trace_ratio=self.edge_trace_ratio,
            tls_certificate=self.edge_tls_cert,
            tls_key=self.edge_tls_key,
            trusted_proxies=self.edge_trusted_proxies,
            cors_origins=tuple(origin.strip() for origin in self.edge_cors_origins.split(",")),
            requests_per_second=self.edge_requests_per_second,
            connections_per_address=self.edge_connections_per_address,
            memory_bytes=self.edge_memory_bytes,
        )

"""Settings of the worker."""

import dataclasses
from pathlib import Path

from services.runtime.config import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerSettings(Settings):
    """What the worker reads beside the settings of every process."""

    name: str = dataclasses.field(default="worker", metadata={"fixed": True})
    health_port: int = 8116
    metrics_port: int = 8136
    models: str = "animatic"
    """Comma-separated names: what this worker's Triton loads, and what the worker serves, reports and restores."""
    triton_tls_ca: Path | None = None
    triton_tls_cert: Path | None = None
    triton_tls_key: Path | None = None
    """Files (PEM) of mutual TLS to Triton: an authority and a client certificate that serve for nothing else."""
    run_seconds: float = 1200.0
    """One run of a model is given up after this; the attempt counts."""
    hold_sweep_seconds: float = 60.0
    """How often open holds are compared with the videos that they belong to."""
    provider_code: str = "001191000000FILMGATE001ANIM"
    """27 characters of TC260-PG-20252A that name the provider in the AIGC label; a deployer sets their own."""

    @property
    def offered(self) -> tuple[str, ...]:
        """The names in `models`, each once, in their order."""
        return tuple(dict.fromkeys(name for name in (part.strip() for part in self.models.split(",")) if name))

    def triton_tls(self) -> tuple[bytes, bytes, bytes]:
        """Read (authority, certificate, key) in PEM. By default they are files of `home`/certs/triton.

        Raises OSError when one cannot be read: without them there is no Triton.
        """
        certs = self.home / "certs" / "triton"
        authority = self.triton_tls_ca or certs / "ca.crt"
        certificate, key = self.triton_tls_cert or certs / "worker.crt", self.triton_tls_key or certs / "worker.key"
        return authority.read_bytes(), certificate.read_bytes(), key.read_bytes()

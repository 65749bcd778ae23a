"""Settings of the auth process."""

import dataclasses
from pathlib import Path

from services.runtime.config import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuthSettings(Settings):
    """What auth reads beside the settings of every process."""

    name: str = dataclasses.field(default="auth", metadata={"fixed": True})
    auth_port: int = 8101
    health_port: int = 8111
    metrics_port: int = 8131
    feed_seconds: float = 0.5
    """Pause between two reads of the authorizer's feed."""
    service_accounts: Path | None = None
    """YAML file of internal services that may exchange their certificate for a caller token; see tokens/grants.py."""

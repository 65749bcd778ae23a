"""Settings of the privacy service."""

import dataclasses
from pathlib import Path

from services.runtime.config import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrivacySettings(Settings):
    """What the environment may set beyond the settings of every process."""

    name: str = dataclasses.field(default="privacy", metadata={"fixed": True})
    privacy_port: int = 8104
    health_port: int = 8114
    metrics_port: int = 8134
    policy_texts: Path = Path(__file__).parent / "policies" / "texts"
    """Folder of the first published texts, `<kind>/<version, 4 digits>.<language>.md`; a deployer sets their own."""
    acceptance_wait_seconds: float = 2.0
    """How long AcceptPolicy waits for auth to learn of it; the answer comes then in any case."""

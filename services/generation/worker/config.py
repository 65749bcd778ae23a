"""Settings of the worker."""

import dataclasses

from services.runtime.config import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerSettings(Settings):
    """What the worker reads beside the settings of every process."""

    name: str = dataclasses.field(default="worker", metadata={"fixed": True})
    health_port: int = 8116
    metrics_port: int = 8136
    models: str = "animatic"
    """Comma-separated names: what this worker's Triton loads, and what the worker serves, reports and restores."""
    run_seconds: float = 1200.0
    """One run of a model is given up after this; the attempt counts."""
    hold_sweep_seconds: float = 60.0
    """How often open holds are compared with the videos that they belong to."""
    provider_code: str = "001191000000FILMGATE001ANIM"
    """27 characters of TC260-PG-20252A that name the provider in the AIGC label; a deployer sets his own."""

    @property
    def offered(self) -> tuple[str, ...]:
        """The names in `models`, each once, in their order."""
        return tuple(dict.fromkeys(name for name in (part.strip() for part in self.models.split(",")) if name))

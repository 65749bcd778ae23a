"""Settings of the three processes of generation: the API, media and the worker."""

import dataclasses
from pathlib import Path

from services.runtime.config import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerationSettings(Settings):
    """What the API reads beside the settings of every process."""

    name: str = dataclasses.field(default="generation", metadata={"fixed": True})
    generation_port: int = 8103
    health_port: int = 8113
    metrics_port: int = 8133
    admit_cleanup_seconds: float = 60.0
    """How long an order may stay between its first and its second transaction; then it is undone."""
    generate_attempts: int = 3
    """How often a video is tried before it fails."""
    word_lists: Path = Path(__file__).parent / "moderation" / "words"
    """Folder of moderation's word lists, `<list>/<language>.txt`; a deployer sets their own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MediaSettings(Settings):
    """What media reads beside the settings of every process."""

    name: str = dataclasses.field(default="media", metadata={"fixed": True})
    media_port: int = 8105
    health_port: int = 8115
    metrics_port: int = 8135
    upload_seconds: float = 55.0
    """An upload that is not whole by then is given up; the edge waits 60 s."""
    stall_seconds: float = 20.0
    """A client that takes or sends nothing for so long is let go."""
    decode_seconds: float = 10.0
    """Wall time that one picture may take to be decoded; only a machine that is too busy lets it pass."""
    decode_cpu_seconds: int = 3
    """CPU time that one picture may take to be decoded (review S4). Honest ones of 50 million pixels took 2 s."""
    decode_budget_seconds: float = 30.0
    """CPU time that the pictures of one organization may take within a minute."""
    decode_memory_bytes: int = 1536 * 1024 * 1024
    """Address space of the process that decodes one picture."""
    decoders: int = 2
    """Pictures decoded at once, each of another organization."""
    uploads: int = 64
    """Uploads received at once; each may hold 32 MiB of the disk."""
    transfers_per_organization: int = 32
    """Uploads and downloads of one organization at once, waiting ones too; one more is refused."""
    uploads_per_organization: int = 8
    """Uploads of one organization received at once; more wait."""

"""Prompts that kill, and the model repository in which they do: a test's own, since the product has no such hook."""

from pathlib import Path

MODEL = "poison for the model"
"""A prompt with these words ends the model's process, as a fault in a library would."""
SERVER = "poison for the server"
"""A prompt with these words ends the whole server."""
FRAMES = 5
"""So many frames of the film are made before."""
ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ROOT / "services" / "generation" / "triton" / "animatic" / "config.pbtxt"
ONE = "count: 1"


def repository(folder: Path, instances: int = 1) -> Path:
    """Make a repository with `animatic` in so many processes, configured as the product's; returns its folder."""
    model = folder / "animatic"
    (model / "1").mkdir(parents=True, exist_ok=True)
    config = PRODUCT.read_text()
    assert config.count(ONE) == 1
    (model / "config.pbtxt").write_text(config.replace(ONE, f"count: {instances}"))
    link = model / "1" / "model.py"
    link.unlink(missing_ok=True)
    link.symlink_to(ROOT / "tests" / "support" / "poison_model.py")
    return folder

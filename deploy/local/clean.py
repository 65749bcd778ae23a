"""Removes what runs have left. Needs the standard library alone, so that it works without any environment."""

import shutil
from pathlib import Path

from deploy.local import config
from deploy.local.lock import Lock


def clean(home: Path) -> str | None:
    """Remove the data, the sealing keys and the generated code; a sentence when that may not be done."""
    home = home.absolute()
    if home.exists():
        if not ((home / "run").is_dir() or (home / "promises.json").exists()):
            return f"{home} does not look like a home of Filmgate; it is left alone."
        if Lock(home).holder() is not None:
            return "Filmgate is running; make down stops it."
    for folder in (home, config.keys_folder(home), config.ROOT / "gen"):
        shutil.rmtree(folder, ignore_errors=True)
    return None

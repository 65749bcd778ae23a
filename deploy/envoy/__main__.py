"""Writes what Envoy needs to run into a folder: `python -m deploy.envoy FOLDER`.

For an init container: the folder gets envoy.yaml and the descriptor set, and Envoy puts its admin socket there.
"""

import shutil
import sys
from pathlib import Path

from deploy.envoy.render import ROUTES, write
from deploy.envoy.settings import EdgeSettings
from services.runtime.config import ConfigError, from_env
from services.runtime.server import refuse_outside

GENERATED = Path(__file__).resolve().parents[2] / "gen"
CONFIGURATION = "envoy.yaml"
DESCRIPTORS = "filmgate.pb"


def prepare(settings: EdgeSettings, folder: Path, generated: Path = GENERATED) -> Path:
    """Write the configuration of these settings into `folder`, with the files it names; returns its path.

    Raises RuntimeError for an address outside of loopback together with the self-made CA, ValueError when the settings
    do not fit together.
    """
    refuse_outside(settings, [])
    for name in (DESCRIPTORS, ROUTES):
        shutil.copyfile(generated / name, folder / name)
    return write(settings.configuration(folder, folder / DESCRIPTORS), folder / CONFIGURATION)


def main(arguments: list[str]) -> int:
    """Write it for the environment's settings; returns the exit status, 1 with a sentence for what does not fit."""
    if len(arguments) != 1:
        sys.stderr.write("use: python -m deploy.envoy FOLDER\n")
        return 2
    try:
        prepare(from_env(EdgeSettings), Path(arguments[0]))
    except (ConfigError, OSError, RuntimeError, ValueError) as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs the suite of one commit, by that commit's own supervisor: `python host.py HOME PROFILE MODULE PORTS`.

Run in the commit's own folder with its PYTHONPATH. It prints a line of JSON when all is ready: `url`, `outbox`,
`databases` (URL of each service role), `ports`, `parts` (process numbers). Then it obeys lines: `halt` ends worker and
Triton, `stop` or the end of the input ends everything. Imports of the suite are by name, since each commit has its own.
"""

import dataclasses
import importlib
import json
import sys
from pathlib import Path
from typing import Any

LIFTED = {"FILMGATE_EDGE_REQUESTS_PER_SECOND": "1000000"}


def described(suite: Any) -> dict[str, Any]:
    """Return what the driver needs of a running suite."""
    parts = {name: suite.process(name).pid for name in suite.launched if suite.process(name).alive}
    return {
        "url": suite.url,
        "outbox": str(suite.outbox),
        "databases": {name: urls[1].replace("+asyncpg", "") for name, urls in suite.database_urls.items()},
        "ports": dataclasses.asdict(suite.ports),
        "parts": parts | {"postgres": suite.postgres.pid},
    }


def serve(suite: Any) -> None:
    """Start, say what runs, and obey until the end."""
    suite.start()
    try:
        _say(described(suite))
        for line in sys.stdin:
            if line.strip() == "stop":
                break
            for name in ("worker", "triton"):
                suite.process(name).end()
            _say(described(suite))
    finally:
        suite.stop()


def _say(told: dict[str, Any]) -> None:
    print(json.dumps(told), flush=True)


def main(home: str, profile: str, module: str, ports: str) -> None:
    """Run the suite of this folder in `home` under the profile at a path."""
    chosen = importlib.import_module(ports).free()
    make = importlib.import_module(module).Suite
    serve(make(Path(home), ports=chosen, settings={"FILMGATE_PROFILE": profile, **LIFTED}))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""`python -m deploy.local up|demo|down|status|logs|clean|destroy`: what the Makefile calls."""

import argparse
import sys

from services.runtime.config import ConfigError


def main() -> int:
    """Read the command line and do what it says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("down", "status", "logs", "clean"):
        commands.add_parser(name)
    destroy = commands.add_parser("destroy")
    destroy.add_argument("--confirm", default="", help="yes: remove the data and the keys for good")
    up = commands.add_parser("up")
    up.add_argument("--telemetry", action="store_true", help="with Prometheus, and a page that shows traces")
    demo = commands.add_parser("demo")
    demo.add_argument("--image", default="", help="a picture of yours; without it the project's own")
    demo.add_argument("--prompt", default="", help="what the film shall show")
    chosen = parser.parse_args()
    if chosen.command == "clean":
        return _clean()
    if chosen.command == "destroy":
        return _destroy(chosen.confirm)
    if chosen.command in ("up", "demo"):
        from deploy.local import foreground  # noqa: PLC0415  the others are to answer at once

        if chosen.command == "up":
            return foreground.up(telemetry=chosen.telemetry)
        return foreground.show(chosen.image, chosen.prompt)
    from deploy.local import commands as doing  # noqa: PLC0415  clean must work without the environment that these need

    return {"down": doing.down, "status": doing.status, "logs": doing.logs}[chosen.command]()


def _clean() -> int:
    from deploy.local import clean, config  # noqa: PLC0415

    gone, said = clean.clean(config.read()[0].home)
    print(said, file=sys.stdout if gone else sys.stderr)
    return 0 if gone else 1


def _destroy(confirm: str) -> int:
    from deploy.local import clean, config  # noqa: PLC0415

    gone, said = clean.destroy(config.read()[0].home, confirmed=confirm == "yes")
    print(said, file=sys.stdout if gone else sys.stderr)
    return 0 if gone else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ConfigError as fault:
        sys.exit(f"These settings cannot be: {fault}")

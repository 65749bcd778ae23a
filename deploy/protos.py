"""Generates gen/ from protos/: stubs, the descriptor set, Envoy's routes, the OpenAPI document; checks the contracts.

    python -m deploy.protos           write gen/
    python -m deploy.protos lint      buf lint, format, and breaking against the newest tag
    python -m deploy.protos format    rewrite protos/ in buf's format

Needs no network: google's protos come from the wheel that the lock file pins.
"""

import contextlib
import importlib.resources
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import google.rpc
import grpc_tools
from grpc_tools import protoc

from deploy.envoy import render
from deploy.openapi import policies, write

ROOT = pathlib.Path(__file__).resolve().parent.parent
GEN = ROOT / "gen"
VENDORED = (
    "api/annotations",
    "api/field_behavior",
    "api/http",
    "rpc/error_details",
    "rpc/status",
    "type/date",
    "type/money",
)
"""Protos of google's that ours import. error_details and status are named for Envoy, which else leaves details out."""
DESCRIPTORS = GEN / "filmgate.pb"


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    command = arguments[0] if arguments else "generate"
    steps = {"generate": generate, "lint": lint, "format": format_protos}
    if command not in steps:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    return steps[command]()


def generate() -> int:
    """Write gen/. What has not changed keeps its file, so that a running suite is not disturbed."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = pathlib.Path(folder)
        _vendor(fresh / "protovendor")
        _stubs(fresh)
        scopes = policies.scopes(ROOT / "services")
        (fresh / render.ROUTES).write_text(render.dump(render.published(fresh / DESCRIPTORS.name, scopes)))
        write.reference(fresh / DESCRIPTORS.name, ROOT / "services", fresh)
        _replace(fresh, GEN)
    return 0


def lint() -> int:
    """Check style and format of the contracts, and that nothing published was broken since the newest tag."""
    _vendor(GEN / "protovendor")
    status = _buf("lint", "protos") or _buf("format", "-d", "--exit-code", "protos")
    tag = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return status or (_breaking(tag) if tag else 0)


def format_protos() -> int:
    """Rewrite protos/ in buf's format."""
    return _buf("format", "-w", "protos")


def _breaking(tag: str) -> int:
    """Compare with the protos of a tag; the vendored ones are today's, since they are not in git."""
    with tempfile.TemporaryDirectory() as folder:
        # Out of git itself: buf would look for the vendored protos in the tag, and Debian's tarfile lacks safe filters.
        archive = subprocess.run(
            ["git", "archive", tag, "protos", "buf.yaml"], cwd=ROOT, check=True, capture_output=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        _vendor(pathlib.Path(folder) / "gen" / "protovendor")
        return _buf("breaking", "--against", folder)


def _buf(*arguments: str) -> int:
    buf = pathlib.Path(sys.executable).parent / "buf"
    return subprocess.run([buf if buf.exists() else "buf", *arguments], cwd=ROOT, check=False).returncode


def _vendor(target: pathlib.Path) -> None:
    """Copy google's protos out of the googleapis-common-protos wheel."""
    source = pathlib.Path(google.rpc.__path__[0]).parent
    for name in VENDORED:
        copy = target / "google" / f"{name}.proto"
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists() or copy.read_bytes() != (source / f"{name}.proto").read_bytes():
            shutil.copyfile(source / f"{name}.proto", copy)


def _stubs(target: pathlib.Path) -> None:
    """Run protoc: messages, their types, services, and the descriptor set with comments."""
    ours = sorted(str(path.relative_to(ROOT / "protos")) for path in (ROOT / "protos").rglob("*.proto"))
    builtin = importlib.resources.files(grpc_tools) / "_proto"
    search = [f"-I{ROOT / 'protos'}", f"-I{target / 'protovendor'}", f"-I{builtin}"]
    _protoc(*search, f"--python_out={target}", f"--pyi_out={target}", f"--grpc_python_out={target}", *ours)
    described = [*ours, "google/rpc/error_details.proto", "google/rpc/status.proto"]
    descriptors = target / DESCRIPTORS.name
    _protoc(*search, "--include_imports", "--include_source_info", f"--descriptor_set_out={descriptors}", *described)


def _protoc(*arguments: str) -> None:
    if protoc.main(["protoc", *arguments]) != 0:
        raise SystemExit("protoc refused the contracts; see its words above")


def _replace(fresh: pathlib.Path, target: pathlib.Path) -> None:
    """Make target's generated files equal to fresh's, each by an atomic rename, and remove those of deleted protos."""
    wanted = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    for name in sorted(wanted):
        new, old = fresh / name, target / name
        if not old.exists() or old.read_bytes() != new.read_bytes():
            old.parent.mkdir(parents=True, exist_ok=True)
            part = old.with_name(f".{old.name}.{os.getpid()}")
            shutil.copyfile(new, part)
            part.replace(old)
    for path in _generated(target):
        if path.relative_to(target) not in wanted:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _generated(target: pathlib.Path) -> Iterator[pathlib.Path]:
    for folder in ("filmgate", "protovendor", "docs"):
        kinds = {".py", ".pyi", ".proto", ".html", ".css", ".js"}
        yield from (path for path in (target / folder).rglob("*") if path.suffix in kinds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

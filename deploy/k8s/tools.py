"""The outside tools that look at the manifests, each as a function that answers its faults."""

import json
import platform
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
BIN = ROOT / ".venv-tools" / "bin"
OVERLAYS = ("dev", "prod")
DOCKERFILES = (ROOT / "Dockerfile", FOLDER / "triton.Dockerfile")
NO_SCHEMA = ("cert-manager.io/v1",)
"""Kinds that Kubernetes itself does not have, so that there is no schema of theirs; `certificates` looks at them."""
ACCEPTED = {
    "KSV-0125": "the registry is the deployer's",
    "KSV-0020": "PostgreSQL's image has its own user, 999",
    "KSV-0021": "PostgreSQL's image has its own group, 999",
    "DS-0026": "a kubelet looks after health, and ignores the image's",
}
"""What trivy says and we do otherwise, with the reason."""


class ToolMissing(Exception):
    """A tool is not installed; the message says what to do."""


class Fault(NamedTuple):
    """What is wrong, where, and which check found it."""

    check: str
    where: str
    words: str

    def __str__(self) -> str:
        return f"{self.check}: {self.where}: {self.words}"


def tool(name: str, folder: Path = BIN, machine: tuple[str, str] = (platform.system(), platform.machine())) -> str:
    """The path of a tool in .venv-tools. Raises ToolMissing with a sentence."""
    path = folder / name
    if path.exists():
        return str(path)
    if machine != ("Linux", "x86_64"):
        raise ToolMissing(
            f"{name} is not here: the tools for manifests come for Linux x86_64, this is {' '.join(machine)}"
        )
    raise ToolMissing(f"{name} is not here: `make k8s` installs it from deploy/k8s/requirements.lock")


def kustomize(folder: Path) -> str:
    """Render an overlay. Raises ValueError with kustomize's words."""
    done = _run([tool("kubectl"), "kustomize", str(folder)])
    if done.returncode:
        raise ValueError(done.stderr.strip())
    return done.stdout


def schema(files: Mapping[str, Path]) -> list[Fault]:
    """Hold files of objects against Kubernetes' own schemas, by name; a kind that they do not know is a fault."""
    done = _run([tool("kubernetes-validate"), "--strict", *map(str, files.values())])
    names = {str(path): name for name, path in files.items()}
    faults = []
    for line in (done.stdout + done.stderr).splitlines():
        level, _, rest = line.partition(" ")
        path, _, words = rest.partition(" ")
        if level == "INFO" or (level == "WARN" and any(version in words for version in NO_SCHEMA)):
            continue
        faults.append(Fault("schema", names.get(path, path), words or line))
    if done.returncode and not faults:
        faults.append(Fault("schema", "kubernetes-validate", f"ended with {done.returncode}"))
    return faults


def trivy(folder: Path, files: Mapping[str, Path]) -> list[Fault]:
    """Look with trivy's own checks, without a network, at files of a folder that has no others."""
    names = {path.name: name for name, path in files.items()}
    with tempfile.TemporaryDirectory() as cache:
        own = ["--skip-check-update", "--skip-version-check", "--cache-dir", cache]
        done = _run([tool("trivy"), "config", "-q", *own, "--format", "json", str(folder)])
    if done.returncode:
        return [Fault("trivy", str(folder), done.stderr.strip())]
    results = json.loads(done.stdout).get("Results") or []
    return [
        Fault("trivy", names.get(result["Target"], result["Target"]), f"{found['ID']}: {found['Message']}")
        for result in results
        for found in result.get("Misconfigurations", [])
        if found["ID"] not in ACCEPTED
    ]


def hadolint(files: Mapping[str, Path]) -> list[Fault]:
    """Look at Dockerfiles."""
    done = _run([tool("hadolint"), "--format", "json", *map(str, files.values())])
    names = {str(path): name for name, path in files.items()}
    return [
        Fault(
            "hadolint",
            names.get(found["file"], found["file"]),
            f"line {found['line']}: {found['code']}: {found['message']}",
        )
        for found in json.loads(done.stdout or "[]")
    ]


def yamllint(folder: Path = FOLDER) -> list[Fault]:
    """Look at the style of all YAML of a folder."""
    done = _run([tool("yamllint"), "-s", "-f", "parsable", "-c", str(FOLDER / "yamllint.yaml"), str(folder)])
    return [Fault("yamllint", *line.split(": ", 1)) for line in done.stdout.splitlines()]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

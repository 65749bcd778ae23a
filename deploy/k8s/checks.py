"""All checks of an overlay, in one list."""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import yaml

from deploy.k8s import availability, certificates, network, pods, processes, references, tools
from deploy.k8s.objects import Object, Rendered
from deploy.k8s.tools import Fault

OURS: tuple[Callable[[Rendered], Iterable[Fault]], ...] = (
    references.check,
    pods.check,
    processes.check,
    network.check,
    certificates.check,
    availability.check,
)
"""What we compare ourselves: no tool can know it."""


def ours(rendered: Rendered) -> list[Fault]:
    """The faults that our own checks find in an overlay; one that stumbles over the shape of an object says so."""
    faults: list[Fault] = []
    for check in OURS:
        try:
            faults += check(rendered)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as fault:
            faults.append(Fault("shape", check.__module__, f"an object is not as it should be: {fault!r}"))
    return faults


def outside(manifests: Mapping[str, Iterable[Object]], images: Mapping[str, str]) -> list[Fault]:
    """The faults that the outside tools find in sets of objects, and in the texts of Dockerfiles, each by a name."""
    with tempfile.TemporaryDirectory() as folder:
        objects = {name: Path(folder) / f"{number:03}.yaml" for number, name in enumerate(manifests)}
        for name, path in objects.items():
            path.write_text(yaml.safe_dump_all(manifests[name], sort_keys=False))
        recipes = {name: Path(folder) / f"{number:03}.Dockerfile" for number, name in enumerate(images)}
        for name, path in recipes.items():
            path.write_text(images[name])
        return [*tools.schema(objects), *tools.hadolint(recipes), *tools.trivy(Path(folder), objects | recipes)]


def all_of(overlays: Iterable[Rendered]) -> list[Fault]:
    """Every fault of these overlays, of the Dockerfiles and of the YAML's style."""
    found = [fault._replace(where=f"{one.overlay}: {fault.where}") for one in overlays for fault in ours(one)]
    images = {str(path.relative_to(tools.ROOT)): path.read_text() for path in tools.DOCKERFILES}
    return [*found, *outside({one.overlay: one.objects for one in overlays}, images), *tools.yamllint()]

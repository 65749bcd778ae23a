"""A rendered overlay as objects, and the pods in it, as the checks ask for them."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from deploy.k8s import tools

Object = dict[str, Any]
WORKLOADS = ("Deployment", "StatefulSet")
NAME = "app.kubernetes.io/name"


@dataclasses.dataclass(frozen=True)
class Pod:
    """The pods of one workload."""

    kind: str
    name: str
    spec: Object
    labels: Mapping[str, str]
    workload: Object

    @property
    def mains(self) -> list[Object]:
        """The containers that serve."""
        return list(self.spec["containers"])

    @property
    def sidecars(self) -> list[Object]:
        """Those that run beside them for as long as the pod lives."""
        return [one for one in self.spec.get("initContainers", []) if one.get("restartPolicy") == "Always"]

    @property
    def first(self) -> list[Object]:
        """Those that run before, and end."""
        return [one for one in self.spec.get("initContainers", []) if one.get("restartPolicy") != "Always"]

    @property
    def all(self) -> list[Object]:
        """Every container."""
        return [*self.first, *self.sidecars, *self.mains]

    @property
    def volumes(self) -> dict[str, Object]:
        """Volumes by name, with those that the workload claims."""
        claimed = self.workload["spec"].get("volumeClaimTemplates", [])
        own = {volume["name"]: volume for volume in self.spec.get("volumes", [])}
        return own | {claim["metadata"]["name"]: {"claimed": claim} for claim in claimed}

    def port(self, name: str) -> int | None:
        """The number of a container port by its name."""
        ports = (port for one in self.all for port in one.get("ports", []))
        return next((int(port["containerPort"]) for port in ports if port.get("name") == name), None)

    def matches(self, selector: Mapping[str, Any]) -> bool:
        """Whether a label selector holds; only In is known of the operators."""
        plain = selector.get("matchLabels", {}).items() <= self.labels.items()
        rules = selector.get("matchExpressions", [])
        return plain and all(
            rule["operator"] == "In" and self.labels.get(rule["key"]) in rule["values"] for rule in rules
        )


@dataclasses.dataclass(frozen=True)
class Rendered:
    """All objects of an overlay."""

    overlay: str
    objects: list[Object]

    def of(self, *kinds: str) -> Iterator[Object]:
        """The objects of some kinds."""
        return (one for one in self.objects if one["kind"] in kinds)

    def get(self, kind: str, name: str) -> Object | None:
        """An object by its kind and name."""
        return next((one for one in self.of(kind) if one["metadata"]["name"] == name), None)

    def pods(self) -> list[Pod]:
        """The pods of every workload."""
        return [
            Pod(one["kind"], one["metadata"]["name"], template["spec"], template["metadata"].get("labels", {}), one)
            for one in self.of(*WORKLOADS)
            for template in [one["spec"]["template"]]
        ]

    def pod(self, name: str) -> Pod | None:
        """The pods of the workload `name`."""
        return next((pod for pod in self.pods() if pod.name == name), None)

    def environment(self, container: Object) -> dict[str, str]:
        """The plain variables of a container: its own, and before them those of the ConfigMaps that it takes whole."""
        values: dict[str, str] = {}
        for source in container.get("envFrom", []):
            found = self.get("ConfigMap", source.get("configMapRef", {}).get("name", ""))
            values |= (found or {}).get("data", {})
        return values | {row["name"]: row.get("value", "") for row in container.get("env", [])}


@functools.cache
def text(overlay: str) -> str:
    """An overlay as kustomize renders it. Raises ValueError with its words."""
    return tools.kustomize(tools.FOLDER / "overlays" / overlay)


def rendered(overlay: str) -> Rendered:
    """An overlay as objects, new ones each time, so that a caller may change them."""
    return Rendered(overlay, [one for one in yaml.safe_load_all(text(overlay)) if one])


def where(one: Object) -> str:
    """Kind and name of an object."""
    return f"{one['kind']}/{one['metadata']['name']}"

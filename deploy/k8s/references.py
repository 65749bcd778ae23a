"""What one object says of another must be there: nothing that a dry run of the API server would find."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.k8s.objects import Object, Pod, Rendered, where
from deploy.k8s.tools import ROOT, Fault

PAGE = ROOT / "docs" / "operations.md"
PROVIDED = re.compile(r"^\| `([a-z-]+)` \| ((?:`[\w.-]+`(?:, )?)+) \|", re.MULTILINE)
CLUSTER_WIDE = ("Namespace",)
CERTIFICATE_KEYS = {"ca.crt", "tls.crt", "tls.key"}
CLUSTER_ISSUERS = {"public"}
"""What the deployer brings: docs/operations.md."""


def check(rendered: Rendered) -> Iterator[Fault]:
    """Every fault of reference in an overlay."""
    for place, words in (*_objects(rendered), *_pods(rendered), *_selectors(rendered), *_services(rendered)):
        yield Fault("references", place, words)


def provided() -> dict[str, set[str]]:
    """The Secrets that the page for operators tells a deployer to bring, with their keys."""
    section = PAGE.read_text().partition("\n## On Kubernetes\n")[2].partition("\n## ")[0]
    return {name: set(re.findall(r"`([^`]+)`", keys)) for name, keys in PROVIDED.findall(section)}


def secrets(rendered: Rendered) -> dict[str, set[str]]:
    """Every Secret that will be there, with its keys: cert-manager's and the deployer's."""
    made = {one["spec"]["secretName"]: CERTIFICATE_KEYS for one in rendered.of("Certificate")}
    return provided() | made | {one["metadata"]["name"]: set(one.get("data", {})) for one in rendered.of("Secret")}


def _objects(rendered: Rendered) -> Iterator[tuple[str, str]]:
    seen = set()
    for one in rendered.objects:
        name = (one["kind"], one["metadata"]["name"])
        if name in seen:
            yield where(one), "is there twice"
        seen.add(name)
        if one["kind"] not in CLUSTER_WIDE and one["metadata"].get("namespace") != "filmgate":
            yield where(one), "is in no namespace, or in another than filmgate"
    for one in rendered.of("HorizontalPodAutoscaler"):
        target = one["spec"]["scaleTargetRef"]
        if rendered.get(target["kind"], target["name"]) is None:
            yield where(one), f"scales {target['kind']}/{target['name']}, which is not there"
    for one in rendered.of("Certificate"):
        issuer = one["spec"]["issuerRef"]
        there = (
            CLUSTER_ISSUERS
            if issuer["kind"] == "ClusterIssuer"
            else {i["metadata"]["name"] for i in rendered.of("Issuer")}
        )
        if issuer["name"] not in there:
            yield where(one), f"is issued by {issuer['kind']}/{issuer['name']}, which is not there"


def _pods(rendered: Rendered) -> Iterator[tuple[str, str]]:
    known = secrets(rendered)
    for pod in rendered.pods():
        place = f"{pod.kind}/{pod.name}"
        if rendered.get("ServiceAccount", pod.spec.get("serviceAccountName", "default")) is None:
            yield place, "its ServiceAccount is not there"
        for name, volume in pod.volumes.items():
            yield from ((place, words) for words in _volume(rendered, name, volume, known))
        mounted = {mount["name"] for one in pod.all for mount in one.get("volumeMounts", [])}
        yield from ((place, f"volume {name} is mounted and not there") for name in mounted - pod.volumes.keys())
        yield from ((place, f"volume {name} is there and not mounted") for name in pod.volumes.keys() - mounted)
        for one in pod.all:
            yield from ((f"{place}/{one['name']}", words) for words in _container(rendered, pod, one, known))


def _volume(rendered: Rendered, name: str, volume: Object, known: Mapping[str, set[str]]) -> Iterator[str]:
    if "secret" in volume:
        keys = known.get(volume["secret"]["secretName"])
        yield from _keys(f"Secret {volume['secret']['secretName']}", volume["secret"], keys)
    elif "configMap" in volume:
        found = rendered.get("ConfigMap", volume["configMap"]["name"])
        yield from _keys(
            f"ConfigMap {volume['configMap']['name']}", volume["configMap"], set(found["data"]) if found else None
        )
    elif "persistentVolumeClaim" in volume:
        claim = volume["persistentVolumeClaim"]["claimName"]
        if rendered.get("PersistentVolumeClaim", claim) is None:
            yield f"PersistentVolumeClaim {claim} is not there"
    elif not volume.keys() & {"emptyDir", "claimed"}:
        yield f"volume {name} is of a kind that the suite does not need"


def _keys(what: str, source: Object, keys: set[str] | None) -> Iterator[str]:
    if keys is None:
        yield f"{what} is not there, and docs/operations.md does not ask for it"
        return
    yield from (f"{what} has no key {item['key']}" for item in source.get("items", []) if item["key"] not in keys)


def _container(rendered: Rendered, pod: Pod, one: Object, known: Mapping[str, set[str]]) -> Iterator[str]:
    for source in one.get("envFrom", []):
        if rendered.get("ConfigMap", source.get("configMapRef", {}).get("name", "")) is None:
            yield "takes its environment from a ConfigMap that is not there"
    yield from (f"{row['name']} comes out of another object" for row in one.get("env", []) if "valueFrom" in row)
    for name, value in rendered.environment(one).items():
        if name.endswith("_FILE") and not _file(rendered, pod, one, value, known):
            yield f"{name} names {value}, where no mounted volume has such a file"


def _file(rendered: Rendered, pod: Pod, one: Object, path: str, known: Mapping[str, set[str]]) -> bool:
    """Whether a path is a file of a mounted Secret or ConfigMap."""
    folder, _, file = path.rpartition("/")
    for mount in one.get("volumeMounts", []):
        volume = pod.volumes.get(mount["name"], {})
        source: Any = volume.get("secret") or volume.get("configMap") or {}
        name = source.get("secretName") or source.get("name", "")
        found = rendered.get("ConfigMap", name)
        keys = set(found["data"]) if found and "configMap" in volume else known.get(name, set())
        items = {item["path"] for item in source.get("items", []) if item["key"] in keys} or keys
        if mount["mountPath"] == folder and file in items:
            return True
    return False


def _selectors(rendered: Rendered) -> Iterator[tuple[str, str]]:
    pods = rendered.pods()
    for pod in pods:
        if not pod.matches(pod.workload["spec"]["selector"]):
            yield f"{pod.kind}/{pod.name}", "its selector does not match its own pods"
    for one in rendered.of("PodDisruptionBudget", "NetworkPolicy"):
        selector = one["spec"].get("selector") or one["spec"].get("podSelector") or {}
        if selector and not any(pod.matches(selector) for pod in pods):
            yield where(one), "its selector matches no pod"


def _services(rendered: Rendered) -> Iterator[tuple[str, str]]:
    for one in rendered.of("Service"):
        pods = [pod for pod in rendered.pods() if pod.matches({"matchLabels": one["spec"]["selector"]})]
        if not pods:
            yield where(one), "its selector matches no pod"
        for pod in pods:
            for port in one["spec"]["ports"]:
                number = pod.port(str(port["targetPort"]))
                if number is None:
                    yield where(one), f"targets the port {port['targetPort']}, which {pod.name} does not have by name"
                elif one["spec"].get("clusterIP") == "None" and number != port["port"]:
                    yield where(one), f"has no address of its own, so its port {port['port']} must be {number}"

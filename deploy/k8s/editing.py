"""The places in a rendered overlay where a mistake is made, and the ways to make one."""

import copy
from typing import Any

from deploy.k8s.objects import Object, Rendered


def pod_spec(one: Rendered, name: str) -> Object:
    """Return the spec of a workload's pods. Raises LookupError."""
    pod = one.pod(name)
    if pod is None:
        raise LookupError(name)
    return pod.spec


def main(one: Rendered, name: str) -> Object:
    """Return the container that serves."""
    found: Object = pod_spec(one, name)["containers"][0]
    return found


def first(one: Rendered, name: str) -> Object:
    """Return the container before it, or Triton."""
    found: Object = pod_spec(one, name)["initContainers"][0]
    return found


def spec_of(one: Rendered, kind: str, name: str) -> Any:
    """Return the spec of an object, or the object itself if it has none. Raises LookupError."""
    found = one.get(kind, name)
    if found is None:
        raise LookupError(f"{kind}/{name}")
    return found.get("spec", found)


def put(place: Object, key: str, value: object) -> None:
    """Set a key, as an expression."""
    place[key] = value


def variable(container: Object, name: str, value: str) -> None:
    """Add a variable to a container's environment."""
    container.setdefault("env", []).append({"name": name, "value": value})


def settings(one: Rendered) -> dict[str, str]:
    """Return the data of the ConfigMap that all processes read."""
    [found] = [made for made in one.of("ConfigMap") if made["metadata"]["name"].startswith("settings-")]
    data: dict[str, str] = found["data"]
    return data


def drop(one: Rendered, kind: str, name: str) -> None:
    """Take an object away."""
    one.objects.remove(next(o for o in one.of(kind) if o["metadata"]["name"] == name))


def volume(one: Rendered, pod: str, name: str) -> Object:
    """Return a volume of a pod by its name."""
    found: Object = next(volume for volume in pod_spec(one, pod)["volumes"] if volume["name"] == name)
    return found


def policy(one: Rendered, name: str, way: str) -> Object:
    """Return the first rule of a NetworkPolicy, `way` being ingress or egress."""
    found: Object = spec_of(one, "NetworkPolicy", name)[way][0]
    return found


def move_health(one: Rendered, name: str, number: int) -> None:
    """Give a wrong number, consistently, so that only the code can contradict."""
    container = main(one, name)
    next(port for port in container["ports"] if port["name"] == "health")["containerPort"] = number
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        container[probe]["grpc"]["port"] = number


def at_least(budget: Object, number: int) -> None:
    """Make a budget ask for so many pods."""
    del budget["maxUnavailable"]
    budget["minAvailable"] = number


def flag(one: Rendered, old: str, new: str) -> None:
    """Replace one of Triton's arguments."""
    arguments = first(one, "worker")["args"]
    arguments[arguments.index(old)] = new


def scaler_of(one: Rendered, name: str) -> Object:
    """Return an autoscaler of a workload, a copy of another one."""
    made = copy.deepcopy(next(one.of("HorizontalPodAutoscaler")))
    made["metadata"]["name"] = made["spec"]["scaleTargetRef"]["name"] = name
    return made

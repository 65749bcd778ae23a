"""How a pod is to be run: without rights, within bounds, looked after, and with time to end."""

from collections.abc import Iterator
from decimal import Decimal

from deploy.k8s.objects import Object, Pod, Rendered
from deploy.k8s.tools import Fault

RESOURCES = ("cpu", "memory", "ephemeral-storage")
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
CLOSED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def check(rendered: Rendered) -> Iterator[Fault]:
    """Every fault of an overlay's pods."""
    for pod in rendered.pods():
        place = f"{pod.kind}/{pod.name}"
        yield from (Fault("security", place, words) for words in _pod(rendered, pod))
        yield from (Fault("probes", place, words) for words in _ports(pod))
        for one in pod.all:
            at = f"{place}/{one['name']}"
            yield from (Fault("security", at, words) for words in _closed(pod, one))
            yield from (Fault("images", at, words) for words in _image(one))
            yield from (Fault("resources", at, words) for words in _resources(pod, one))
            yield from (Fault("probes", at, words) for words in _probes(pod, one))


def quantity(text: str) -> Decimal:
    """A quantity of Kubernetes in its base unit: cores, bytes, pieces. Raises ValueError."""
    if text.endswith("m"):
        return Decimal(text.removesuffix("m")) / 1000
    for unit, factor in UNITS.items():
        if text.endswith(unit):
            return Decimal(text.removesuffix(unit)) * factor
    return Decimal(text)


def _pod(rendered: Rendered, pod: Pod) -> Iterator[str]:
    context = pod.spec.get("securityContext", {})
    account = rendered.get("ServiceAccount", pod.spec.get("serviceAccountName", "")) or {}
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser") or not context.get("runAsGroup"):
        yield "does not run as a numbered user and group that are not root's"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "has not the runtime's seccomp profile"
    if pod.spec.get("automountServiceAccountToken") is not False or account.get("automountServiceAccountToken", True):
        yield "gets a token of the API server, which nothing of ours asks"
    if pod.spec.get("enableServiceLinks") is not False:
        yield "gets the addresses of all Services as variables"
    yield from (f"shares the node's {what}" for what in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(what))


def _closed(pod: Pod, one: Object) -> Iterator[str]:
    context = one.get("securityContext", {})
    yield from (f"{name} is not {value}" for name, value in CLOSED.items() if context.get(name) != value)
    yield from (f"{name} is its own, not the pod's" for name in sorted(context.keys() - CLOSED.keys()))
    for mount in one.get("volumeMounts", []):
        volume = pod.volumes.get(mount["name"], {})
        if volume.keys() & {"secret", "configMap"} and mount.get("readOnly") is not True:
            yield f"{mount['mountPath']} is not mounted read-only"


def _image(one: Object) -> Iterator[str]:
    name, _, tag = one["image"].rpartition("/")[2].partition(":")
    if "@sha256:" not in one["image"] and (not tag or tag == "latest"):
        yield f"its image {name} has no version"


def _resources(pod: Pod, one: Object) -> Iterator[str]:
    asked, bound = (one.get("resources", {}).get(part, {}) for part in ("requests", "limits"))
    for name in RESOURCES:
        if name not in asked or name not in bound:
            yield f"says not both what {name} it asks for and at most gets"
        elif quantity(str(asked[name])) > quantity(str(bound[name])):
            yield f"asks for more {name} than it may get"
    sizes = {"Memory": Decimal(0), "": Decimal(0)}
    for mount in one.get("volumeMounts", []):
        empty = pod.volumes.get(mount["name"], {}).get("emptyDir")
        if empty is not None and "sizeLimit" not in empty:
            yield f"{mount['mountPath']} may grow without bound"
        elif empty is not None:
            sizes[empty.get("medium", "")] += quantity(str(empty["sizeLimit"]))
    for medium, name in (("Memory", "memory"), ("", "ephemeral-storage")):
        if sizes[medium] >= quantity(str(bound.get(name, "inf"))):
            yield f"its folders alone may take all its {name}"


def _probes(pod: Pod, one: Object) -> Iterator[str]:
    wanted = PROBES if one in pod.mains else PROBES[1:] if one in pod.sidecars else ()
    ports = {port["containerPort"]: port.get("name") for port in one.get("ports", [])}
    for name in wanted:
        probe = one.get(name)
        if probe is None:
            yield f"has no {name}"
            continue
        port = next((probe[kind]["port"] for kind in ("grpc", "httpGet", "tcpSocket") if kind in probe), None)
        if port is None and "exec" not in probe:
            yield f"its {name} asks nothing"
        if port is not None and port not in ports and port not in ports.values():
            yield f"its {name} asks the port {port}, which the container does not have"
    after = one.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if after >= pod.spec.get("terminationGracePeriodSeconds", 30):
        yield "is killed before its preStop ends"


def _ports(pod: Pod) -> Iterator[str]:
    ports = [port for one in pod.all for port in one.get("ports", [])]
    for key in ("containerPort", "name"):
        values = [port.get(key) for port in ports]
        yield from (f"has the port {value} twice" for value in sorted({str(v) for v in values if values.count(v) > 1}))

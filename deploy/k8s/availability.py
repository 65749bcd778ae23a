"""How many there are, how many may be missing at once, and how long each has to end."""

from collections.abc import Iterator

from deploy.k8s.objects import Object, Pod, Rendered, where
from deploy.k8s.tools import Fault
from services.generation.media import server as media
from services.runtime import server

SLACK_SECONDS = 5
"""To close databases and channels after the drain."""
ALONE = ("postgresql",)
"""What has one process and no budget: a drained node stops it."""


def check(rendered: Rendered) -> Iterator[Fault]:
    """Every fault of availability of an overlay."""
    for pod in rendered.pods():
        place = f"{pod.kind}/{pod.name}"
        yield from (Fault("availability", place, words) for words in (*_budget(rendered, pod), *_scaled(rendered, pod)))
        if pod.name not in ALONE:
            yield from (Fault("availability", place, words) for words in _spread(pod))
            yield from (Fault("grace", place, words) for words in _grace(pod))
    for one in rendered.of("HorizontalPodAutoscaler"):
        if one["spec"].get("minReplicas", 1) > one["spec"]["maxReplicas"]:
            yield Fault("availability", where(one), "wants at least more than at most")


def replicas(rendered: Rendered, pod: Pod) -> int:
    """The fewest processes that a workload has when all is well."""
    scaler = _scaler(rendered, pod)
    return int(scaler["spec"].get("minReplicas", 1) if scaler else pod.workload["spec"].get("replicas", 1))


def _scaler(rendered: Rendered, pod: Pod) -> Object | None:
    found = rendered.of("HorizontalPodAutoscaler")
    return next((one for one in found if one["spec"]["scaleTargetRef"]["name"] == pod.name), None)


def _budget(rendered: Rendered, pod: Pod) -> Iterator[str]:
    budgets = [one["spec"] for one in rendered.of("PodDisruptionBudget") if pod.matches(one["spec"]["selector"])]
    if len(budgets) != (pod.name not in ALONE):
        yield f"has {len(budgets)} disruption budgets"
    for budget in budgets:
        least, missing = budget.get("minAvailable"), budget.get("maxUnavailable")
        if (least is None) == (missing is None):
            yield "its budget must say one of minAvailable and maxUnavailable"
        elif missing in (0, "0%") or least == "100%" or (isinstance(least, int) and least >= replicas(rendered, pod)):
            yield "its budget lets no process go, so no node can be drained"


def _scaled(rendered: Rendered, pod: Pod) -> Iterator[str]:
    scaler = _scaler(rendered, pod)
    if scaler and "replicas" in pod.workload["spec"]:
        yield "says its number, and an autoscaler says another"
    if scaler and pod.name == "worker":
        yield "is scaled by its CPU, while its work is the GPU's"
    if rendered.overlay == "prod" and replicas(rendered, pod) < 2:
        yield "is alone in production"


def _spread(pod: Pod) -> Iterator[str]:
    rules = pod.spec.get("topologySpreadConstraints", [])
    if {rule["topologyKey"] for rule in rules} != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
        yield "is not spread over machines and zones"
    for rule in rules:
        if not pod.matches(rule["labelSelector"]) or not set(rule.get("matchLabelKeys", [])) <= pod.labels.keys():
            yield f"its spread over {rule['topologyKey']} counts other pods than its own"


def _grace(pod: Pod) -> Iterator[str]:
    """A worker hands its lease back uncounted after the drain, so no job has to end within the grace."""
    drain = max(server.GRACE_SECONDS, media.GRACE_SECONDS) if pod.name != "edge" else 0.0
    for one in pod.mains:
        wait = one.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        given = pod.spec.get("terminationGracePeriodSeconds", 30)
        if given < wait + drain + SLACK_SECONDS:
            yield f"has {given} s to end and needs {wait + drain + SLACK_SECONDS:g}"
        if not wait and any(port["name"] in ("grpc", "https") for port in one.get("ports", [])):
            yield "ends before its callers have heard that it goes"

"""NetworkPolicies against the picture of docs/architecture.md: each arrow on both of its ends, and nothing else."""

import re
from collections.abc import Iterator
from typing import Any

from deploy.k8s.objects import NAME, Pod, Rendered, where
from deploy.k8s.tools import ROOT, Fault

PAGE = ROOT / "docs" / "architecture.md"
ARROW = re.compile(r"^\s*(\S.*?)\s*-\.?->(?:\|[^|]*\|)?\s*(.*?)\s*$")
SHAPE = re.compile(r"[\[({].*")
SUITE = ("edge", "auth", "billing", "generation", "media", "privacy", "worker")
WORLD = {("0.0.0.0/0",), ("::/0",)}
INSIDE = {("worker", "triton")}
"""Within one pod, over loopback."""
NO_NETWORK = {("auth", "outbox")}
"""A folder, until there is a sender of mail and SMS."""
OUTSIDE = {"pg": ("to-postgresql", 5432), "objects": ("to-objects", 443), "collector": ("to-collector", 4317)}
"""Engines that are not ours, by the picture's name: the policy that leads to them, and the port."""
DNS = {("kube-system/kube-dns", "UDP", 53), ("kube-system/kube-dns", "TCP", 53)}
NOTHING = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
"""What holds for every pod: nothing in, nothing out, but what another policy lets through."""
Rule = tuple[str, str, int]
"""Peer, protocol, port."""


def arrows() -> set[tuple[str, str]]:
    """Who calls whom in the picture, by the names of its nodes. Raises ValueError when there is no picture."""
    _, fence, rest = PAGE.read_text().partition("```mermaid\n")
    lines = [found for line in rest.partition("```")[0].splitlines() if (found := ARROW.match(line))]
    if not fence or not lines:
        raise ValueError(f"{PAGE} has no picture")
    return {(source, target) for line in lines for source in _nodes(line[1]) for target in _nodes(line[2])}


def _nodes(text: str) -> list[str]:
    return [SHAPE.sub("", name).strip() for name in text.split("&")]


def check(rendered: Rendered) -> Iterator[Fault]:
    """Every difference between the policies of an overlay and the picture."""
    picture = arrows() - INSIDE - NO_NETWORK
    for source, target in sorted(picture):
        if {source, target} - {*SUITE, *OUTSIDE, "client", "prometheus"}:
            yield Fault("network", PAGE.name, f"the arrow {source} to {target} is known to nobody here")
    if not any(one["spec"] == NOTHING for one in rendered.of("NetworkPolicy")):
        yield Fault("network", "NetworkPolicy", "a pod that no policy knows may talk to all the world")
    for one in rendered.of("NetworkPolicy"):
        yield from (Fault("network", where(one), words) for words in _open(one["spec"]))
    for pod in rendered.pods():
        for way in ("ingress", "egress"):
            wanted = _wanted(rendered, pod, way, picture)
            given = _given(rendered, pod, way)
            place = f"{pod.kind}/{pod.name}"
            yield from (
                Fault("network", place, f"{way} {_told(rule)} is in no arrow") for rule in sorted(given - wanted)
            )
            yield from (Fault("network", place, f"{way} {_told(rule)} is missing") for rule in sorted(wanted - given))
            if not _denied(rendered, pod, way):
                yield Fault("network", place, f"no policy closes its {way}")


def _wanted(rendered: Rendered, pod: Pod, way: str, picture: set[tuple[str, str]]) -> set[Rule]:
    """The rules that the picture asks for."""
    rules: set[Rule] = set(DNS) if way == "egress" else set()
    name = "pg" if pod.name == "postgresql" else pod.name
    for source, target in picture:
        if way == "egress" and source == name:
            rules |= _outgoing(rendered, target)
        if way == "ingress" and target == name:
            rules |= _incoming(pod, source)
    return rules


def _outgoing(rendered: Rendered, target: str) -> set[Rule]:
    if target not in OUTSIDE:
        pod = rendered.pod(target)
        return {(target, "TCP", _door(pod))} if pod else set()
    name, port = OUTSIDE[target]
    if target == "pg" and rendered.pod("postgresql"):
        return {("postgresql", "TCP", port)}
    if target == "objects" and _in_a_folder(rendered):
        return set()
    policy = rendered.get("NetworkPolicy", name)
    peers = policy["spec"]["egress"][0]["to"] if policy else [{"ipBlock": {"cidr": f"the address of {target}"}}]
    return {(_peer(peer), "TCP", port) for peer in peers}


def _incoming(pod: Pod, source: str) -> set[Rule]:
    if source == "client":
        return {(address, "TCP", _door(pod)) for block in WORLD for address in block}
    if source == "prometheus":
        return {("monitoring/prometheus", "TCP", pod.port("metrics") or 0)}
    return {(source, "TCP", _door(pod))}


def _door(pod: Pod) -> int:
    return next((port for name in ("grpc", "https", "postgresql") if (port := pod.port(name))), 0)


def _in_a_folder(rendered: Rendered) -> bool:
    """Whether media and worker share one claim in place of an object store."""
    claims = [
        {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod.volumes.values()
            if "persistentVolumeClaim" in volume
        }
        for pod in (rendered.pod("media"), rendered.pod("worker"))
        if pod
    ]
    return len(claims) == 2 and "objects" in claims[0] & claims[1]


def _given(rendered: Rendered, pod: Pod, way: str) -> set[Rule]:
    """The rules of all policies that hold for a pod."""
    rules: set[Rule] = set()
    for one in rendered.of("NetworkPolicy"):
        if pod.matches(one["spec"]["podSelector"]):
            for rule in one["spec"].get(way, []):
                peers = [name for peer in rule.get("from" if way == "ingress" else "to", []) for name in _peers(peer)]
                ports = [
                    (port.get("protocol", "TCP"), _number(pod, port.get("port", 0))) for port in rule.get("ports", [])
                ]
                rules |= {(peer, *port) for peer in peers for port in ports}
    return rules


def _number(pod: Pod, port: int | str) -> int:
    """A port by its number, or by its name in the pod that is entered."""
    return port if isinstance(port, int) else pod.port(port) or 0


def _peers(peer: dict[str, Any]) -> list[str]:
    rules = peer.get("podSelector", {}).get("matchExpressions", [])
    return [value for rule in rules for value in rule["values"]] if rules else [_peer(peer)]


def _peer(peer: dict[str, Any]) -> str:
    if "ipBlock" in peer:
        return str(peer["ipBlock"]["cidr"])
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    name = str(labels.get(NAME) or labels.get("k8s-app") or "anybody")
    space = peer.get("namespaceSelector")
    return name if space is None else f"{space.get('matchLabels', {}).get('kubernetes.io/metadata.name', 'any')}/{name}"


def _open(spec: dict[str, Any]) -> Iterator[str]:
    """A rule that names no peer or no port opens everything."""
    for way, side in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(way, []):
            if not rule.get(side) or not rule.get("ports") or not all(port.get("port") for port in rule["ports"]):
                yield f"a rule of its {way} does not name both peers and ports"
            if way == "egress" and any(_peer(peer).endswith("/0") for peer in rule.get(side, [])):
                yield "a rule of its egress leads to the whole world"


def _denied(rendered: Rendered, pod: Pod, way: str) -> bool:
    kind = way.capitalize()
    return any(
        kind in one["spec"].get("policyTypes", []) and pod.matches(one["spec"]["podSelector"])
        for one in rendered.of("NetworkPolicy")
    )


def _told(rule: Rule) -> str:
    return f"{rule[0]} {rule[1]} {rule[2]}"

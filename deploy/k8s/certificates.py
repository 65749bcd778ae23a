"""One certificate per process, with the one name by which ACCESS knows it, and nobody else's mounted."""

from collections.abc import Iterator

from deploy.k8s.objects import Object, Pod, Rendered
from deploy.k8s.tools import Fault
from services.runtime import server
from services.runtime.caller import SUITE

AUTHORITY = {"kind": "Issuer", "name": "ca"}
TRITON_AUTHORITY = {"kind": "Issuer", "name": "triton-ca"}
"""Signs Triton's certificate and that of its one client, and nothing else (review S2)."""
USAGES = {"digital signature", "server auth", "client auth"}
ENDS = {
    "triton": ("triton", {"digital signature", "server auth"}),
    "triton-worker": ("worker", {"digital signature", "client auth"}),
}
"""The two ends of the connection to Triton: the name that each bears, and what it may serve as."""
PUBLIC = "edge-public"
MIN_SPARE_HOURS = 24 * 14
"""Between renewal and end: the processes must be restarted in it."""
TRITON_FILES = {
    "--grpc-server-cert": ("triton-tls", "tls.crt"),
    "--grpc-server-key": ("triton-tls", "tls.key"),
    "--grpc-root-cert": ("triton-tls", "ca.crt"),
}
WORKER_FILES = {
    "FILMGATE_TRITON_TLS_CA": ("triton-worker-tls", "ca.crt"),
    "FILMGATE_TRITON_TLS_CERT": ("triton-worker-tls", "tls.crt"),
    "FILMGATE_TRITON_TLS_KEY": ("triton-worker-tls", "tls.key"),
}


def check(rendered: Rendered) -> Iterator[Fault]:
    """Every fault of the certificates of an overlay."""
    found = (*_names(rendered), *_triton_names(rendered), *_authorities(rendered))
    yield from (Fault("certificates", "Certificate", words) for words in found)
    for pod in rendered.pods():
        if pod.name in SUITE:
            yield from (Fault("certificates", f"{pod.kind}/{pod.name}", words) for words in _mounted(pod))
    worker = rendered.pod("worker")
    if worker:
        yield from (Fault("certificates", "Deployment/worker", words) for words in _triton_files(rendered, worker))


def _mounted(pod: Pod) -> Iterator[str]:
    """Each container has the certificates that it shows, and no other one's: a sidecar does not get the process's."""
    for one in pod.all:
        wanted = {f"{pod.name}-tls"}
        if pod.name == "edge" and one not in pod.first:
            wanted |= {f"{PUBLIC}-tls"}
        if pod.name == "worker":
            wanted = {"triton-tls", "triton-worker-tls"} if one["name"] == "triton" else {*wanted, "triton-worker-tls"}
        sources = [_secret(pod, mount["name"]) for mount in one.get("volumeMounts", [])]
        tls = {name for name in sources if name.endswith("-tls")}
        if tls - wanted or (wanted - tls and one not in pod.first):
            yield f"{one['name']} mounts {sorted(tls)}, not {sorted(wanted)}"


def _secret(pod: Pod, volume: str) -> str:
    return str(pod.volumes.get(volume, {}).get("secret", {}).get("secretName", ""))


def _names(rendered: Rendered) -> Iterator[str]:
    ours = {name: spec for name, spec in _issued(rendered, AUTHORITY).items() if name != PUBLIC}
    if ours.keys() != SUITE:
        yield f"there are certificates of {sorted(ours.keys() ^ SUITE)} too many or too few"
    for name, spec in ours.items():
        if set(spec.get("usages", [])) != USAGES:
            yield f"{name} must serve as both ends of mutual TLS"
        yield from _leaf(name, spec, name)


def _triton_names(rendered: Rendered) -> Iterator[str]:
    ours = _issued(rendered, TRITON_AUTHORITY)
    if ours.keys() != ENDS.keys():
        yield f"Triton's authority must sign {sorted(ENDS)} alone, and signs {sorted(ours)}"
    for name, spec in ours.items():
        bears, usages = ENDS.get(name, ("", set()))
        if set(spec.get("usages", [])) != usages:
            yield f"{name} must serve as one end of mutual TLS, as {sorted(usages)}"
        yield from _leaf(name, spec, bears)


def _issued(rendered: Rendered, issuer: Object) -> dict[str, Object]:
    return {
        one["metadata"]["name"]: one["spec"] for one in rendered.of("Certificate") if one["spec"]["issuerRef"] == issuer
    }


def _leaf(name: str, spec: Object, bears: str) -> Iterator[str]:
    if spec.get("dnsNames") != [bears] or spec.keys() & {"ipAddresses", "uris", "emailAddresses", "commonName"}:
        yield f"{name} must bear its one name {bears}, and bears {spec.get('dnsNames')}"
    if spec["secretName"] != f"{name}-tls":
        yield f"{name} must be kept in {name}-tls"
    if int(spec.get("renewBefore", "0h").removesuffix("h")) < MIN_SPARE_HOURS:
        yield f"{name} leaves no time for a restart between its renewal and its end"


def _authorities(rendered: Rendered) -> Iterator[str]:
    for name in (AUTHORITY["name"], TRITON_AUTHORITY["name"]):
        found, issuer = rendered.get("Certificate", name), rendered.get("Issuer", name)
        spec = found["spec"] if found else {}
        if not spec.get("isCA") or spec.get("secretName") != name:
            yield f"the authority {name} is no CA kept in the Secret {name}"
        if not issuer or issuer["spec"].get("ca") != {"secretName": name}:
            yield f"the Issuer {name} does not sign by the Secret {name}"
        if f"CN={spec.get('commonName')}" == server.EMBEDDED_CA:
            yield "the authority bears the name of the one that is made for one machine"


def _triton_files(rendered: Rendered, pod: Pod) -> Iterator[str]:
    """The files that Triton, its probes and the worker are told of are those of Triton's own authority."""
    [triton] = [one for one in pod.sidecars if one["name"] == "triton"] or [{}]
    flags = dict(argument.partition("=")[::2] for argument in triton.get("args", []))
    for container, told, wanted in (
        (triton, flags, TRITON_FILES),
        (pod.mains[0], rendered.environment(pod.mains[0]), WORKER_FILES),
    ):
        for name, (secret, key) in wanted.items():
            if _held(pod, container, told.get(name, "")) != (secret, key):
                yield f"{name} names {told.get(name)}, which is not {key} of the Secret {secret}"
    for name in ("livenessProbe", "readinessProbe"):
        folder = [*triton.get(name, {}).get("exec", {}).get("command", []), ""][4:5]
        files = (
            {file: _held(pod, triton, f"{folder[0]}/{file}") for file in ("ca.crt", "worker.crt", "worker.key")}
            if folder
            else {}
        )
        if set(files.values()) != set(WORKER_FILES.values()):
            yield f"the {name} of Triton is not told where the worker's certificate for it lies"


def _held(pod: Pod, container: Object, path: str) -> tuple[str, str] | None:
    """The Secret and the key that a path in a container is, if it is one."""
    folder, _, file = path.rpartition("/")
    for mount in container.get("volumeMounts", []):
        items = pod.volumes.get(mount["name"], {}).get("secret", {}).get("items", [])
        key = next((item["key"] for item in items if item["path"] == file), None)
        if mount["mountPath"] == folder and key:
            return _secret(pod, mount["name"]), key
    return None

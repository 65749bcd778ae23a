"""One certificate per process, with the one name by which POLICY knows it, and nobody else's mounted."""

from collections.abc import Iterator

from deploy.k8s.objects import Rendered
from deploy.k8s.tools import Fault
from services.runtime import server
from services.runtime.caller import SUITE

AUTHORITY = {"kind": "Issuer", "name": "ca"}
USAGES = {"digital signature", "server auth", "client auth"}
PUBLIC = "edge-public"
LEAST_SPARE_HOURS = 24 * 14
"""Between renewal and end: the processes must be restarted in it."""


def check(rendered: Rendered) -> Iterator[Fault]:
    """Every fault of the certificates of an overlay."""
    yield from (Fault("certificates", "Certificate", words) for words in (*_names(rendered), *_authority(rendered)))
    for pod in rendered.pods():
        if pod.name in SUITE:
            wanted = {f"{pod.name}-tls"} | ({f"{PUBLIC}-tls"} if pod.name == "edge" else set())
            mounted = {volume["secret"]["secretName"] for volume in pod.volumes.values() if "secret" in volume}
            tls = {name for name in mounted if name.endswith("-tls")}
            if tls != wanted:
                yield Fault("certificates", f"{pod.kind}/{pod.name}", f"mounts {sorted(tls)}, not {sorted(wanted)}")


def _names(rendered: Rendered) -> Iterator[str]:
    ours = {}
    for one in rendered.of("Certificate"):
        if one["spec"]["issuerRef"] == AUTHORITY and one["metadata"]["name"] != PUBLIC:
            ours[one["metadata"]["name"]] = one["spec"]
    if ours.keys() != SUITE:
        yield f"there are certificates of {sorted(ours.keys() ^ SUITE)} too many or too few"
    for name, spec in ours.items():
        if spec.get("dnsNames") != [name] or spec.keys() & {"ipAddresses", "uris", "emailAddresses", "commonName"}:
            yield f"{name} must bear its one name {name}, and bears {spec.get('dnsNames')}"
        if set(spec.get("usages", [])) != USAGES:
            yield f"{name} must serve as both ends of mutual TLS"
        if spec["secretName"] != f"{name}-tls":
            yield f"{name} must be kept in {name}-tls"
        if int(spec.get("renewBefore", "0h").removesuffix("h")) < LEAST_SPARE_HOURS:
            yield f"{name} leaves no time for a restart between its renewal and its end"


def _authority(rendered: Rendered) -> Iterator[str]:
    found = rendered.get("Certificate", "ca")
    spec = found["spec"] if found else {}
    if not spec.get("isCA") or spec.get("secretName") != "ca":
        yield "the authority is no CA kept in the Secret ca"
    if f"CN={spec.get('commonName')}" == server.EMBEDDED_CA:
        yield "the authority bears the name of the one that is made for one machine"

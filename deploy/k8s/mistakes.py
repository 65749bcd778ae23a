"""The mistakes: what is wrong, which check must find it, and how it is made in the production overlay."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from deploy.k8s.objects import Object, Rendered


class Mutation(NamedTuple):
    """A mistake: what it is, the check that must find it, and how it is made."""

    mistake: str
    finder: str
    make: Callable[[Rendered], object]


class ImageMutation(NamedTuple):
    """A mistake in the Dockerfile of the suite: a text and what stands in its place."""

    mistake: str
    finder: str
    old: str
    new: str


def _spec(one: Rendered, name: str) -> Object:
    """The pods of a workload."""
    pod = one.pod(name)
    if pod is None:
        raise LookupError(name)
    return pod.spec


def _main(one: Rendered, name: str) -> Object:
    """The container that serves."""
    found: Object = _spec(one, name)["containers"][0]
    return found


def _first(one: Rendered, name: str) -> Object:
    """The container before it, or Triton."""
    found: Object = _spec(one, name)["initContainers"][0]
    return found


def _get(one: Rendered, kind: str, name: str) -> Any:
    found = one.get(kind, name)
    if found is None:
        raise LookupError(f"{kind}/{name}")
    return found.get("spec", found)


def _set(place: Object, key: str, value: object) -> None:
    place[key] = value


def _variable(container: Object, name: str, value: str) -> None:
    container.setdefault("env", []).append({"name": name, "value": value})


def _settings(one: Rendered) -> dict[str, str]:
    [found] = [made for made in one.of("ConfigMap") if made["metadata"]["name"].startswith("settings-")]
    data: dict[str, str] = found["data"]
    return data


def _drop(one: Rendered, kind: str, name: str) -> None:
    one.objects.remove(next(o for o in one.of(kind) if o["metadata"]["name"] == name))


def _volume(one: Rendered, pod: str, name: str) -> Object:
    found: Object = next(volume for volume in _spec(one, pod)["volumes"] if volume["name"] == name)
    return found


def _policy(one: Rendered, name: str, way: str) -> Object:
    found: Object = _get(one, "NetworkPolicy", name)[way][0]
    return found


def _workload(one: Rendered, name: str) -> Object:
    found = one.get("Deployment", name)
    if found is None:
        raise LookupError(name)
    return found


def _move_health(one: Rendered, name: str, number: int) -> None:
    """A wrong number, said consistently, so that only the code can contradict."""
    main = _main(one, name)
    next(port for port in main["ports"] if port["name"] == "health")["containerPort"] = number
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        main[probe]["grpc"]["port"] = number


def _at_least(budget: Object, number: int) -> None:
    del budget["maxUnavailable"]
    budget["minAvailable"] = number


def _flag(one: Rendered, old: str, new: str) -> None:
    arguments = _first(one, "worker")["args"]
    arguments[arguments.index(old)] = new


def _scaler_of(one: Rendered, name: str) -> Object:
    made = copy.deepcopy(next(one.of("HorizontalPodAutoscaler")))
    made["metadata"]["name"] = made["spec"]["scaleTargetRef"]["name"] = name
    return made


TABLE = (
    Mutation("an unknown field", "schema", lambda o: _set(_main(o, "auth"), "readynessProbe", {})),
    Mutation(
        "a removed apiVersion",
        "schema",
        lambda o: _set(o.get("PodDisruptionBudget", "auth") or {}, "apiVersion", "policy/v1beta1"),
    ),
    Mutation("a value of a wrong type", "schema", lambda o: _set(_get(o, "Deployment", "privacy"), "replicas", "two")),
    Mutation(
        "a required field missing",
        "schema",
        lambda o: _get(o, "PodDisruptionBudget", "auth")["selector"].update(matchExpressions=[{"key": "a"}]),
    ),
    Mutation("no readiness probe", "probes", lambda o: _main(o, "billing").pop("readinessProbe")),
    Mutation("no liveness probe on Triton", "probes", lambda o: _first(o, "worker").pop("livenessProbe")),
    Mutation(
        "a probe of a port that is not there",
        "probes",
        lambda o: _set(_main(o, "media")["livenessProbe"]["grpc"], "port", 8101),
    ),
    Mutation("a health port that the code does not use", "ports", lambda o: _move_health(o, "generation", 8199)),
    Mutation(
        "a gRPC port that the code does not use",
        "ports",
        lambda o: _set(_main(o, "auth")["ports"][0], "containerPort", 9101),
    ),
    Mutation(
        "a peer at a wrong address", "ports", lambda o: _set(_settings(o), "FILMGATE_BILLING_ADDRESS", "billing:8103")
    ),
    Mutation("root", "security", lambda o: _spec(o, "auth")["securityContext"].update(runAsUser=0, runAsNonRoot=False)),
    Mutation("root in one container", "security", lambda o: _set(_main(o, "auth")["securityContext"], "runAsUser", 0)),
    Mutation("privileged", "security", lambda o: _set(_main(o, "media")["securityContext"], "privileged", True)),
    Mutation(
        "a root that may be written",
        "security",
        lambda o: _set(_main(o, "media")["securityContext"], "readOnlyRootFilesystem", False),
    ),
    Mutation(
        "an added capability",
        "security",
        lambda o: _set(_main(o, "edge")["securityContext"]["capabilities"], "add", ["NET_ADMIN"]),
    ),
    Mutation(
        "rights may be gained",
        "security",
        lambda o: _first(o, "auth")["securityContext"].pop("allowPrivilegeEscalation"),
    ),
    Mutation("no seccomp profile", "security", lambda o: _spec(o, "worker")["securityContext"].pop("seccompProfile")),
    Mutation("the node's network", "security", lambda o: _set(_spec(o, "worker"), "hostNetwork", True)),
    Mutation(
        "a token of the API server",
        "security",
        lambda o: _set(_spec(o, "privacy"), "automountServiceAccountToken", True),
    ),
    Mutation("a Secret that may be written", "security", lambda o: _main(o, "auth")["volumeMounts"][0].pop("readOnly")),
    Mutation(
        "a folder of the node",
        "references",
        lambda o: _set(_volume(o, "media", "tmp"), "hostPath", _volume(o, "media", "tmp").pop("emptyDir")),
    ),
    Mutation("no memory limit", "resources", lambda o: _main(o, "billing")["resources"]["limits"].pop("memory")),
    Mutation(
        "more asked for than allowed",
        "resources",
        lambda o: _set(_main(o, "billing")["resources"]["requests"], "memory", "2Gi"),
    ),
    Mutation(
        "shared memory as large as the memory",
        "resources",
        lambda o: _set(_volume(o, "worker", "shm")["emptyDir"], "sizeLimit", "96Gi"),
    ),
    Mutation("a folder without bound", "resources", lambda o: _volume(o, "media", "tmp")["emptyDir"].pop("sizeLimit")),
    Mutation("the tag latest", "images", lambda o: _set(_main(o, "auth"), "image", "filmgate/suite:latest")),
    Mutation("no tag", "images", lambda o: _set(_first(o, "worker"), "image", "filmgate/triton")),
    Mutation(
        "another Envoy than the tested one",
        "commands",
        lambda o: _set(_main(o, "edge"), "image", "docker.io/envoyproxy/envoy:v1.30.0"),
    ),
    Mutation(
        "a command that is not ours", "commands", lambda o: _set(_main(o, "media"), "args", ["services.media", "serve"])
    ),
    Mutation("no migration before the start", "commands", lambda o: _spec(o, "billing").pop("initContainers")),
    Mutation(
        "the owner's URL in the process",
        "commands",
        lambda o: _variable(_main(o, "auth"), "FILMGATE_OWNER_DATABASE_URL_FILE", "/etc/filmgate/database/url"),
    ),
    Mutation(
        "a model that Triton does not load",
        "commands",
        lambda o: _variable(_main(o, "worker"), "FILMGATE_MODELS", "other"),
    ),
    Mutation("weights that are not mounted", "commands", lambda o: _first(o, "worker")["volumeMounts"].pop(0)),
    Mutation(
        "Triton on the network", "commands", lambda o: _flag(o, "--grpc-address=127.0.0.1", "--grpc-address=0.0.0.0")
    ),
    Mutation("a setting that does not exist", "settings", lambda o: _variable(_main(o, "auth"), "FILMGATE_PEPER", "x")),
    Mutation(
        "a setting of another process", "settings", lambda o: _variable(_main(o, "auth"), "FILMGATE_DECODERS", "2")
    ),
    Mutation(
        "a setting of a wrong type", "settings", lambda o: _variable(_main(o, "media"), "FILMGATE_DECODERS", "two")
    ),
    Mutation(
        "a password in the manifest",
        "settings",
        lambda o: _variable(_main(o, "auth"), "FILMGATE_DATABASE_URL", "postgresql+asyncpg://a:b@c/d"),
    ),
    Mutation(
        "a file for what is no secret",
        "settings",
        lambda o: _variable(_main(o, "auth"), "FILMGATE_PROFILE_FILE", "/etc/filmgate/profile/x"),
    ),
    Mutation("trial credit by default", "refusals", lambda o: _set(_settings(o), "FILMGATE_PROFILE", "default")),
    Mutation(
        "a Secret that nobody brings",
        "references",
        lambda o: _set(_volume(o, "auth", "database")["secret"], "secretName", "auth-db"),
    ),
    Mutation(
        "a Secret without the key",
        "references",
        lambda o: _set(_main(o, "auth")["env"][0], "value", "/etc/filmgate/database/dsn"),
    ),
    Mutation(
        "a ConfigMap that is not there",
        "references",
        lambda o: _set(_volume(o, "auth", "profile")["configMap"], "name", "profil"),
    ),
    Mutation(
        "a volume that is not there",
        "references",
        lambda o: _spec(o, "media")["volumes"].remove(_volume(o, "media", "tmp")),
    ),
    Mutation(
        "a ServiceAccount that is not there",
        "references",
        lambda o: _set(_spec(o, "auth"), "serviceAccountName", "author"),
    ),
    Mutation("a claim that is not there", "references", lambda o: _drop(o, "PersistentVolumeClaim", "auth-keys")),
    Mutation(
        "a Service that matches nothing",
        "references",
        lambda o: _set(_get(o, "Service", "auth"), "selector", {"app": "auth"}),
    ),
    Mutation(
        "a Service to a port without that name",
        "references",
        lambda o: _set(_get(o, "Service", "media")["ports"][0], "targetPort", "grpc"),
    ),
    Mutation(
        "a Deployment that does not match its pods",
        "references",
        lambda o: _set(_get(o, "Deployment", "media")["selector"], "matchLabels", {"app.kubernetes.io/name": "medium"}),
    ),
    Mutation(
        "an autoscaler of nothing",
        "references",
        lambda o: _set(_get(o, "HorizontalPodAutoscaler", "media")["scaleTargetRef"], "name", "medium"),
    ),
    Mutation(
        "a policy that matches nothing",
        "references",
        lambda o: _set(_get(o, "NetworkPolicy", "media")["podSelector"], "matchLabels", {"a": "b"}),
    ),
    Mutation(
        "an object in no namespace",
        "references",
        lambda o: (o.get("Service", "auth") or {})["metadata"].pop("namespace"),
    ),
    Mutation(
        "a budget that blocks all",
        "availability",
        lambda o: _set(_get(o, "PodDisruptionBudget", "privacy"), "maxUnavailable", 0),
    ),
    Mutation(
        "a budget as large as the number",
        "availability",
        lambda o: _at_least(_get(o, "PodDisruptionBudget", "auth"), 2),
    ),
    Mutation("no budget", "availability", lambda o: _drop(o, "PodDisruptionBudget", "worker")),
    Mutation(
        "one process in production", "availability", lambda o: _set(_get(o, "Deployment", "privacy"), "replicas", 1)
    ),
    Mutation("a worker scaled by its CPU", "availability", lambda o: o.objects.append(_scaler_of(o, "worker"))),
    Mutation("all on one machine", "availability", lambda o: _spec(o, "auth").pop("topologySpreadConstraints")),
    Mutation("killed while it drains", "grace", lambda o: _set(_spec(o, "worker"), "terminationGracePeriodSeconds", 5)),
    Mutation("gone before its callers know", "grace", lambda o: _main(o, "billing").pop("lifecycle")),
    Mutation("open egress", "network", lambda o: _set(_get(o, "NetworkPolicy", "auth"), "egress", [{}])),
    Mutation(
        "egress to the whole world",
        "network",
        lambda o: _set(_policy(o, "media", "egress"), "to", [{"ipBlock": {"cidr": "0.0.0.0/0"}}]),
    ),
    Mutation("egress to any port", "network", lambda o: _policy(o, "media", "egress").pop("ports")),
    Mutation(
        "an arrow that is not drawn",
        "network",
        lambda o: _policy(o, "worker", "egress")["to"].append(
            {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "auth"}}}
        ),
    ),
    Mutation("an arrow missing on one end", "network", lambda o: _policy(o, "billing", "ingress")["from"].pop()),
    Mutation(
        "ingress to a wrong port", "network", lambda o: _set(_policy(o, "privacy", "ingress")["ports"][0], "port", 8101)
    ),
    Mutation("nothing denied by default", "network", lambda o: _drop(o, "NetworkPolicy", "nothing")),
    Mutation("no names to be asked for", "network", lambda o: _drop(o, "NetworkPolicy", "dns")),
    Mutation(
        "a wrong name in a certificate",
        "certificates",
        lambda o: _set(_get(o, "Certificate", "billing"), "dnsNames", ["billing.filmgate.svc"]),
    ),
    Mutation(
        "a second name in a certificate",
        "certificates",
        lambda o: _get(o, "Certificate", "media")["dnsNames"].append("edge"),
    ),
    Mutation(
        "another process's certificate",
        "certificates",
        lambda o: _set(_volume(o, "media", "certs")["secret"], "secretName", "operator-tls"),
    ),
    Mutation(
        "a certificate that is no client's",
        "certificates",
        lambda o: _get(o, "Certificate", "worker")["usages"].remove("client auth"),
    ),
    Mutation(
        "an issuer that is not there",
        "references",
        lambda o: _set(_get(o, "Certificate", "edge-public")["issuerRef"], "name", "acme"),
    ),
    Mutation(
        "the name of the self-made CA",
        "certificates",
        lambda o: _set(_get(o, "Certificate", "ca"), "commonName", "Filmgate embedded CA"),
    ),
)

IMAGES = (
    ImageMutation("root in the image", "trivy", "USER 10001:10001\n", ""),
    ImageMutation(
        "the tag latest as base", "hadolint", "FROM ${BASE} AS python", "FROM docker.io/library/debian:latest AS python"
    ),
    ImageMutation(
        "packages that nobody named",
        "hadolint",
        "install -y --no-install-recommends ca-certificates",
        "install -y ca-certificates",
    ),
    ImageMutation("an archive that unpacks itself", "hadolint", "COPY profiles profiles", "ADD profiles profiles"),
    ImageMutation("a secret in the image", "trivy", "ENV PATH=", "ENV SECRET_KEY=hunter2 PATH="),
)

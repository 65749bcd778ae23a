"""The mistakes: what is wrong, which check must find it, and how it is made in the production overlay."""

from collections.abc import Callable
from typing import NamedTuple

from deploy.k8s.editing import (
    at_least,
    drop,
    first,
    flag,
    main,
    move_health,
    pod_spec,
    policy,
    put,
    scaler_of,
    settings,
    spec_of,
    variable,
    volume,
)
from deploy.k8s.objects import Rendered


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


TABLE = (
    Mutation("an unknown field", "schema", lambda o: put(main(o, "auth"), "readynessProbe", {})),
    Mutation(
        "a removed apiVersion",
        "schema",
        lambda o: put(o.get("PodDisruptionBudget", "auth") or {}, "apiVersion", "policy/v1beta1"),
    ),
    Mutation(
        "a value of a wrong type", "schema", lambda o: put(spec_of(o, "Deployment", "privacy"), "replicas", "two")
    ),
    Mutation(
        "a required field missing",
        "schema",
        lambda o: spec_of(o, "PodDisruptionBudget", "auth")["selector"].update(matchExpressions=[{"key": "a"}]),
    ),
    Mutation("no readiness probe", "probes", lambda o: main(o, "billing").pop("readinessProbe")),
    Mutation("no liveness probe on Triton", "probes", lambda o: first(o, "worker").pop("livenessProbe")),
    Mutation(
        "a probe of a port that is not there",
        "probes",
        lambda o: put(main(o, "media")["livenessProbe"]["grpc"], "port", 8101),
    ),
    Mutation("a health port that the code does not use", "ports", lambda o: move_health(o, "generation", 8199)),
    Mutation(
        "a gRPC port that the code does not use",
        "ports",
        lambda o: put(main(o, "auth")["ports"][0], "containerPort", 9101),
    ),
    Mutation(
        "a peer at a wrong address", "ports", lambda o: put(settings(o), "FILMGATE_BILLING_ADDRESS", "billing:8103")
    ),
    Mutation(
        "root", "security", lambda o: pod_spec(o, "auth")["securityContext"].update(runAsUser=0, runAsNonRoot=False)
    ),
    Mutation("root in one container", "security", lambda o: put(main(o, "auth")["securityContext"], "runAsUser", 0)),
    Mutation("privileged", "security", lambda o: put(main(o, "media")["securityContext"], "privileged", True)),
    Mutation(
        "a root that may be written",
        "security",
        lambda o: put(main(o, "media")["securityContext"], "readOnlyRootFilesystem", False),
    ),
    Mutation(
        "an added capability",
        "security",
        lambda o: put(main(o, "edge")["securityContext"]["capabilities"], "add", ["NET_ADMIN"]),
    ),
    Mutation(
        "rights may be gained",
        "security",
        lambda o: first(o, "auth")["securityContext"].pop("allowPrivilegeEscalation"),
    ),
    Mutation(
        "no seccomp profile", "security", lambda o: pod_spec(o, "worker")["securityContext"].pop("seccompProfile")
    ),
    Mutation("the node's network", "security", lambda o: put(pod_spec(o, "worker"), "hostNetwork", True)),
    Mutation(
        "a token of the API server",
        "security",
        lambda o: put(pod_spec(o, "privacy"), "automountServiceAccountToken", True),
    ),
    Mutation(
        "a Secret that may be written",
        "security",
        lambda o: main(o, "auth")["volumeMounts"][0].pop("readOnly"),
    ),
    Mutation(
        "a folder of the node",
        "references",
        lambda o: put(volume(o, "media", "tmp"), "hostPath", volume(o, "media", "tmp").pop("emptyDir")),
    ),
    Mutation("no memory limit", "resources", lambda o: main(o, "billing")["resources"]["limits"].pop("memory")),
    Mutation(
        "more asked for than allowed",
        "resources",
        lambda o: put(main(o, "billing")["resources"]["requests"], "memory", "2Gi"),
    ),
    Mutation(
        "shared memory as large as the memory",
        "resources",
        lambda o: put(volume(o, "worker", "shm")["emptyDir"], "sizeLimit", "96Gi"),
    ),
    Mutation("a folder without bound", "resources", lambda o: volume(o, "media", "tmp")["emptyDir"].pop("sizeLimit")),
    Mutation("the tag latest", "images", lambda o: put(main(o, "auth"), "image", "filmgate/suite:latest")),
    Mutation("no tag", "images", lambda o: put(first(o, "worker"), "image", "filmgate/triton")),
    Mutation(
        "another Envoy than the tested one",
        "commands",
        lambda o: put(main(o, "edge"), "image", "docker.io/envoyproxy/envoy:v1.30.0"),
    ),
    Mutation(
        "a command that is not ours",
        "commands",
        lambda o: put(main(o, "media"), "args", ["services.media", "serve"]),
    ),
    Mutation("no migration before the start", "commands", lambda o: pod_spec(o, "billing").pop("initContainers")),
    Mutation(
        "the owner's URL in the process",
        "commands",
        lambda o: variable(main(o, "auth"), "FILMGATE_OWNER_DATABASE_URL_FILE", "/etc/filmgate/database/url"),
    ),
    Mutation(
        "a model that Triton does not load",
        "commands",
        lambda o: variable(main(o, "worker"), "FILMGATE_MODELS", "other"),
    ),
    Mutation("weights that are not mounted", "commands", lambda o: first(o, "worker")["volumeMounts"].pop(0)),
    Mutation(
        "Triton on the network", "commands", lambda o: flag(o, "--grpc-address=127.0.0.1", "--grpc-address=0.0.0.0")
    ),
    Mutation(
        "Triton in plain",
        "commands",
        lambda o: flag(o, "--grpc-use-ssl-mutual=true", "--grpc-use-ssl-mutual=false"),
    ),
    Mutation(
        "Triton open to the suite's certificates",
        "certificates",
        lambda o: flag(
            o, "--grpc-root-cert=/etc/filmgate/triton/ca.crt", "--grpc-root-cert=/etc/filmgate/certs/ca.crt"
        ),
    ),
    Mutation(
        "a setting that does not exist",
        "settings",
        lambda o: variable(main(o, "auth"), "FILMGATE_PEPER", "x"),
    ),
    Mutation(
        "a setting of another process",
        "settings",
        lambda o: variable(main(o, "auth"), "FILMGATE_DECODERS", "2"),
    ),
    Mutation(
        "a setting of a wrong type",
        "settings",
        lambda o: variable(main(o, "media"), "FILMGATE_DECODERS", "two"),
    ),
    Mutation(
        "a password in the manifest",
        "settings",
        lambda o: variable(main(o, "auth"), "FILMGATE_DATABASE_URL", "postgresql+asyncpg://a:b@c/d"),
    ),
    Mutation(
        "a file for what is no secret",
        "settings",
        lambda o: variable(main(o, "auth"), "FILMGATE_PROFILE_FILE", "/etc/filmgate/profile/x"),
    ),
    Mutation("trial credit by default", "refusals", lambda o: put(settings(o), "FILMGATE_PROFILE", "default")),
    Mutation(
        "a Secret that nobody brings",
        "references",
        lambda o: put(volume(o, "auth", "database")["secret"], "secretName", "auth-db"),
    ),
    Mutation(
        "a Secret without the key",
        "references",
        lambda o: put(main(o, "auth")["env"][0], "value", "/etc/filmgate/database/dsn"),
    ),
    Mutation(
        "a ConfigMap that is not there",
        "references",
        lambda o: put(volume(o, "auth", "profile")["configMap"], "name", "profil"),
    ),
    Mutation(
        "a volume that is not there",
        "references",
        lambda o: pod_spec(o, "media")["volumes"].remove(volume(o, "media", "tmp")),
    ),
    Mutation(
        "a ServiceAccount that is not there",
        "references",
        lambda o: put(pod_spec(o, "auth"), "serviceAccountName", "author"),
    ),
    Mutation("a claim that is not there", "references", lambda o: drop(o, "PersistentVolumeClaim", "auth-keys")),
    Mutation(
        "a Service that matches nothing",
        "references",
        lambda o: put(spec_of(o, "Service", "auth"), "selector", {"app": "auth"}),
    ),
    Mutation(
        "a Service to a port without that name",
        "references",
        lambda o: put(spec_of(o, "Service", "media")["ports"][0], "targetPort", "grpc"),
    ),
    Mutation(
        "a Deployment that does not match its pods",
        "references",
        lambda o: put(
            spec_of(o, "Deployment", "media")["selector"], "matchLabels", {"app.kubernetes.io/name": "medium"}
        ),
    ),
    Mutation(
        "an autoscaler of nothing",
        "references",
        lambda o: put(spec_of(o, "HorizontalPodAutoscaler", "media")["scaleTargetRef"], "name", "medium"),
    ),
    Mutation(
        "a policy that matches nothing",
        "references",
        lambda o: put(spec_of(o, "NetworkPolicy", "media")["podSelector"], "matchLabels", {"a": "b"}),
    ),
    Mutation(
        "an object in no namespace",
        "references",
        lambda o: (o.get("Service", "auth") or {})["metadata"].pop("namespace"),
    ),
    Mutation(
        "a budget that blocks all",
        "availability",
        lambda o: put(spec_of(o, "PodDisruptionBudget", "privacy"), "maxUnavailable", 0),
    ),
    Mutation(
        "a budget as large as the number",
        "availability",
        lambda o: at_least(spec_of(o, "PodDisruptionBudget", "auth"), 2),
    ),
    Mutation("no budget", "availability", lambda o: drop(o, "PodDisruptionBudget", "worker")),
    Mutation(
        "one process in production", "availability", lambda o: put(spec_of(o, "Deployment", "privacy"), "replicas", 1)
    ),
    Mutation("a worker scaled by its CPU", "availability", lambda o: o.objects.append(scaler_of(o, "worker"))),
    Mutation("all on one machine", "availability", lambda o: pod_spec(o, "auth").pop("topologySpreadConstraints")),
    Mutation(
        "killed while it drains", "grace", lambda o: put(pod_spec(o, "worker"), "terminationGracePeriodSeconds", 5)
    ),
    Mutation("gone before its callers know", "grace", lambda o: main(o, "billing").pop("lifecycle")),
    Mutation("open egress", "network", lambda o: put(spec_of(o, "NetworkPolicy", "auth"), "egress", [{}])),
    Mutation(
        "egress to the whole world",
        "network",
        lambda o: put(policy(o, "media", "egress"), "to", [{"ipBlock": {"cidr": "0.0.0.0/0"}}]),
    ),
    Mutation("egress to any port", "network", lambda o: policy(o, "media", "egress").pop("ports")),
    Mutation(
        "an arrow that is not drawn",
        "network",
        lambda o: policy(o, "worker", "egress")["to"].append(
            {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "auth"}}}
        ),
    ),
    Mutation("an arrow missing on one end", "network", lambda o: policy(o, "billing", "ingress")["from"].pop()),
    Mutation(
        "ingress to a wrong port", "network", lambda o: put(policy(o, "privacy", "ingress")["ports"][0], "port", 8101)
    ),
    Mutation("nothing denied by default", "network", lambda o: drop(o, "NetworkPolicy", "nothing")),
    Mutation("no names to be asked for", "network", lambda o: drop(o, "NetworkPolicy", "dns")),
    Mutation(
        "a clock that tests move",
        "refusals",
        lambda o: variable(main(o, "billing"), "FILMGATE_CLOCK_FILE", "/etc/filmgate/certs/ca.crt"),
    ),
    Mutation(
        "a wrong name in a certificate",
        "certificates",
        lambda o: put(spec_of(o, "Certificate", "billing"), "dnsNames", ["billing.filmgate.svc"]),
    ),
    Mutation(
        "a second name in a certificate",
        "certificates",
        lambda o: spec_of(o, "Certificate", "media")["dnsNames"].append("edge"),
    ),
    Mutation(
        "another process's certificate",
        "certificates",
        lambda o: put(volume(o, "media", "certs")["secret"], "secretName", "operator-tls"),
    ),
    Mutation(
        "a certificate that is no client's",
        "certificates",
        lambda o: spec_of(o, "Certificate", "worker")["usages"].remove("client auth"),
    ),
    Mutation(
        "one authority for Triton and for the suite",
        "certificates",
        lambda o: put(spec_of(o, "Issuer", "triton-ca")["ca"], "secretName", "ca"),
    ),
    Mutation(
        "a client of Triton that the suite's authority made",
        "certificates",
        lambda o: put(spec_of(o, "Certificate", "triton-worker")["issuerRef"], "name", "ca"),
    ),
    Mutation(
        "a certificate of Triton that also calls it",
        "certificates",
        lambda o: spec_of(o, "Certificate", "triton")["usages"].append("client auth"),
    ),
    Mutation(
        "Triton's client certificate in another pod",
        "certificates",
        lambda o: put(volume(o, "media", "certs")["secret"], "secretName", "triton-worker-tls"),
    ),
    Mutation(
        "the worker's certificate in Triton's container",
        "certificates",
        lambda o: first(o, "worker")["volumeMounts"].append(
            {"name": "certs", "mountPath": "/etc/filmgate/certs", "readOnly": True}
        ),
    ),
    Mutation(
        "a worker that cannot open Triton",
        "certificates",
        lambda o: variable(main(o, "worker"), "FILMGATE_TRITON_TLS_KEY", "/etc/filmgate/certs/worker.key"),
    ),
    Mutation(
        "a probe that cannot open Triton",
        "certificates",
        lambda o: first(o, "worker")["livenessProbe"]["exec"]["command"].pop(),
    ),
    Mutation(
        "an issuer that is not there",
        "references",
        lambda o: put(spec_of(o, "Certificate", "edge-public")["issuerRef"], "name", "acme"),
    ),
    Mutation(
        "the name of the self-made CA",
        "certificates",
        lambda o: put(spec_of(o, "Certificate", "ca"), "commonName", "Filmgate embedded CA"),
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

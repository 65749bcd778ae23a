"""Runs one job on a model over Triton's stream, by the contract: events and pieces come as they are made."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from services.generation.triton import contract
from services.generation.triton.contract import Event, Job, JobRefused

ASKING_SECONDS = 5.0
UNLOADED = "unloaded"
MAX_FILE_BYTES = 2**30
MAX_MESSAGE_BYTES = 64 * 2**20
_UNSENT = "failed to connect to all addresses"
SERVER_NAME = "triton"
"""The one name in its certificate, whatever address it is reached at."""
NAMED = [("grpc.ssl_target_name_override", SERVER_NAME)]
CHANNEL = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A server that was stopped or cut off answers no ping: the stream then ends, however long its deadline is.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A new client connects at once, whatever another one's failures have taught.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]


class ModelUnavailable(Exception):
    """The server cannot be reached, or has not loaded the model; nothing was answered.

    `cut` says that the connection broke with the job on it: perhaps the job has killed the server. A job that never
    left, since there was no connection, has harmed nothing.
    """

    def __init__(self, message: str, *, cut: bool = False) -> None:
        super().__init__(message)
        self.dead, self.cut = False, cut


class ModelGone(Exception):
    """The work was begun and broke off: the server or its model process died, or it broke the contract.

    `dead` says that the model's process ended under a living server, which does not start it again: `revive` does;
    `cut` that the connection to the server broke, since it died or hangs.
    """

    def __init__(self, message: str, *, dead: bool = False, cut: bool = False) -> None:
        super().__init__(message)
        self.dead, self.cut = dead, cut


class RunTimedOut(Exception):
    """The deadline passed before the last piece."""


@dataclass(frozen=True)
class Step:
    """One answer: its event, the bytes that belong at `event.offset` (maybe none), whether it is the last."""

    event: Event
    piece: bytes
    final: bool


@dataclass(frozen=True)
class Model:
    """What a loaded model says of itself; `instances` is how many jobs it does at a time."""

    name: str
    contract_version: int
    instances: int


def connect(address: str, tls: tuple[bytes, bytes, bytes]) -> InferenceServerClient:
    """Return a client for the Triton at `address` (host:port) under mutual TLS. Close it by `close()`.

    `tls` is (authority, certificate, key) in PEM: Triton's own authority, and the certificate of its one client. There
    is no other way in, since whoever may call Triton runs code in it (review S2).
    """
    authority, certificate, key = tls
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    return InferenceServerClient(address, creds=credentials, channel_args=[*CHANNEL, *NAMED])


async def describe(server: InferenceServerClient, name: str) -> Model:
    """Asks for a model that is loaded and speaks this contract. Raises ModelUnavailable."""
    try:
        ready = await server.is_model_ready(name, client_timeout=ASKING_SECONDS)
        told = await server.get_model_config(name, as_json=True, client_timeout=ASKING_SECONDS) if ready else {}
        config = told["config"]
        version = int(config["parameters"]["contract_version"]["string_value"])
        instances = sum(_instances(group) for group in config.get("instance_group", [{}]))
    except (InferenceServerException, grpc.RpcError, KeyError, ValueError) as fault:
        raise ModelUnavailable(f"The model {name} is not ready.") from fault
    if version != contract.VERSION:
        raise ModelUnavailable(f"The model {name} speaks contract version {version}, not {contract.VERSION}.")
    return Model(name, version, instances)


def _instances(group: dict[str, Any]) -> int:
    """How many a group of a model's configuration has: so many on each of its GPUs, or on the CPU."""
    return int(group.get("count", 1)) * max(1, len(group.get("gpus", [])))


async def is_ready(server: InferenceServerClient, name: str) -> bool:
    """Whether the server answers and has the model loaded."""
    try:
        return bool(await server.is_model_ready(name, client_timeout=ASKING_SECONDS))
    except (InferenceServerException, grpc.RpcError):
        return False


async def trouble(server: InferenceServerClient, name: str) -> str:
    """One sentence on why a model is not loaded, as far as the server knows: the model's own where it could tell."""
    try:
        index = await server.get_model_repository_index(client_timeout=ASKING_SECONDS)
    except (InferenceServerException, grpc.RpcError):
        return "The model server cannot be reached."
    for model in index.models:
        if model.name == name:
            return contract.unfit_of_text(model.reason) or f"The model server says {model.state or 'NOT LOADED'}."
    return "The model server does not know this model."


async def revive(server: InferenceServerClient, name: str, *, seconds: float) -> None:
    """Has the server load the model anew, in a new process. Raises ModelUnavailable."""
    try:
        await server.unload_model(name, client_timeout=seconds)
        await server.load_model(name, client_timeout=seconds)
    except (InferenceServerException, grpc.RpcError) as fault:
        raise ModelUnavailable(f"The model {name} cannot be loaded again.") from fault


async def restore(server: InferenceServerClient, name: str, *, seconds: float, failed: bool = False) -> bool:
    """Has the server load a model that was unloaded and not loaded again: who did that may have died in between.

    With `failed` also one that could not be loaded: what it lacked may be there by now. Returns whether it did; False
    for a server that cannot be reached, and for a model that it never had or is loading.
    Raises ModelUnavailable.
    """
    try:
        index = await server.get_model_repository_index(client_timeout=ASKING_SECONDS)
    except (InferenceServerException, grpc.RpcError):
        return False
    lost = [model for model in index.models if model.name == name and model.state == "UNAVAILABLE"]
    if not any(failed or model.reason == UNLOADED for model in lost):
        return False
    try:
        await server.load_model(name, client_timeout=seconds)
    except (InferenceServerException, grpc.RpcError) as fault:
        raise ModelUnavailable(f"The model {name} cannot be loaded again.") from fault
    return True


async def run(
    server: InferenceServerClient, model: str, job: Job, image: bytes = b"", *, seconds: float, traceparent: str = ""
) -> AsyncGenerator[Step, None]:
    """Yields the steps of one job until the final one; at most `seconds` long. The server traces it if it is told to.

    Leaving early cancels the job, which the model honors at its next frame; use it under `contextlib.aclosing`.
    Raises JobRefused, ModelUnavailable, ModelGone, RunTimedOut.
    """
    headers = {"traceparent": traceparent} if traceparent else None
    stream = server.stream_infer(_one(model, job, image), stream_timeout=seconds, headers=headers)
    begun, reached = False, 0
    try:
        while True:
            step = _step(await _next(stream, begun), reached)
            begun, reached = True, reached + len(step.piece)
            yield step
            if step.final:
                return
    finally:
        stream.cancel()


async def _one(model: str, job: Job, image: bytes) -> AsyncIterator[dict[str, Any]]:
    """The single request of the stream."""
    inputs = [_tensor(contract.JOB, job.to_bytes())]
    if image:
        inputs.append(_tensor(contract.IMAGE, image))
    yield {"model_name": model, "inputs": inputs, "request_id": job.video}


def _tensor(name: str, data: bytes) -> InferInput:
    tensor = InferInput(name, [len(data)], "UINT8")
    tensor.set_data_from_numpy(np.frombuffer(data, np.uint8))
    return tensor


async def _next(stream: Any, begun: bool) -> Any:
    """The next answer of the stream, its faults as ours."""
    try:
        result, error = await anext(stream)
    except StopAsyncIteration:
        raise ModelGone("The stream ended before the last piece.") from None
    except grpc.aio.AioRpcError as fault:
        raise _broken(fault, begun) from fault
    except asyncio.CancelledError:
        # Also what a fault inside the request generator looks like; only a task that is being cancelled was.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ModelGone("The stream was cancelled, and not by us.") from None
    if error is not None:
        raise _refused(error, begun)
    return result


def _broken(fault: grpc.aio.AioRpcError, begun: bool) -> Exception:
    if fault.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return RunTimedOut("The deadline passed before the last piece.")
    if fault.code() is grpc.StatusCode.UNAVAILABLE and not begun:
        # gRPC says this of a call that it could not hand to any connection. A neighbor of the job that has killed the
        # server meets it, after its own look at the server, and must not be blamed for it.
        unsent = _UNSENT in (fault.details() or "")
        return ModelUnavailable("The model server cannot be reached.", cut=not unsent)
    return ModelGone(f"The stream broke: {fault.code().name}.", cut=True)


def _refused(error: InferenceServerException, begun: bool) -> Exception:
    text = error.message() or ""
    refusal = JobRefused.of_text(text)
    if refusal is not None:
        return refusal
    if not begun and ("unknown model" in text or "is not ready" in text or "is not found" in text):
        return ModelUnavailable("The model is not loaded.")
    return ModelGone(f"The model failed: {text[:200]}", dead="is not healthy" in text)


def _step(result: Any, reached: int) -> Step:
    """Reads one answer; `reached` is where the file stands. Raises ModelGone when the contract is broken."""
    try:
        event = Event.of_bytes(result.as_numpy(contract.EVENT).tobytes())
        piece = result.as_numpy(contract.PIECE).tobytes()
    except (AttributeError, ValueError, InferenceServerException) as fault:
        raise ModelGone("The model's answer is not in the contract.") from fault
    if event.offset != reached or reached + len(piece) > MAX_FILE_BYTES:
        raise ModelGone("The model's pieces do not fit together.")
    final = result.get_response().parameters["triton_final_response"].bool_param
    return Step(event, piece, final)

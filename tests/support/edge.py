"""The real Envoy in front of stand-ins for the services: servers with mutual TLS that note what reaches them.

They run in a thread of their own, so that a test asks the edge as any outside client does, with plain blocking calls.
"""

import asyncio
import contextlib
import dataclasses
import importlib
import json
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
from aiohttp import web
from envoy.service.auth.v3 import external_auth_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from grpc_status import rpc_status

from deploy.envoy import envoy, render, upstreams
from deploy.local import certificates, ports, ready
from deploy.local.process import Process
from services.runtime import errors

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTORS = ROOT / "gen" / "filmgate.pb"
CHECK = "/envoy.service.auth.v3.Authorization/Check"
CALLER_TOKEN = "the-token-of-check"
GET_VIDEO = "filmgate.generation.v1.Videos/GetVideo"
WATCH_VIDEO = "filmgate.generation.v1.Videos/WatchVideo"
INFO = "type.googleapis.com/google.rpc.ErrorInfo"
Script = Callable[[Any], Awaitable[Message | None]]

for _file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
    if _file.name.startswith("filmgate/"):
        importlib.import_module(_file.name.replace("/", ".").replace(".proto", "_pb2"))


@dataclasses.dataclass(frozen=True)
class Call:
    """What reached a stand-in: package.Service/Method or verb and path, headers, request, seconds left."""

    method: str
    headers: dict[str, str]
    request: Any
    seconds: float | None = None


class Edge:
    """Envoy and its stand-ins. `scripts` tells a method (or CHECK) what to do in place of answering emptily; `content`
    is what media answers."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.home = home
        self.ports = ports.free()
        self.url = f"http://127.0.0.1:{self.ports.edge_port}"
        self.calls: list[Call] = []
        self.checks: list[external_auth_pb2.CheckRequest] = []
        self.scripts: dict[str, Script] = {}
        self.content = "content"
        self._servers: dict[str, Any] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.settings = render.Settings(
            addresses={name: f"127.0.0.1:{self.ports.of(name)}" for name in upstreams.NAMES},
            certificates=certificates.make(home),
            descriptors=DESCRIPTORS,
            admin_socket=home / "admin.sock",
            port=self.ports.edge_port,
            access_log=home / "access.log",
            **settings,
        )
        command = envoy.command(render.write(self.settings, home / "envoy.yaml"))
        self.envoy = Process("envoy", command, {"PATH": os.environ["PATH"]}, home / "envoy.log", ROOT)

    def start(self) -> None:
        """Start all; answers when Envoy is ready."""
        self._thread.start()
        for name in upstreams.NAMES:
            self.restart(name)
        self.envoy.launch()
        deadline = time.monotonic() + 20
        while not ready.envoy_live(self.settings.admin_socket):
            if time.monotonic() > deadline or not self.envoy.alive:
                raise RuntimeError(f"Envoy did not start: {(self.home / 'envoy.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop all."""
        self.envoy.end()
        for name in list(self._servers):
            self.halt(name)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def restart(self, name: str) -> None:
        """Start the stand-in `name` on its port."""
        self._servers[name] = self._run(self._media() if name == "media" else self._service(name))

    def halt(self, name: str) -> None:
        """Stop the stand-in `name` at once."""
        server = self._servers.pop(name)
        self._run(server.cleanup() if name == "media" else server.stop(0))

    @contextlib.contextmanager
    def script(self, method: str, script: Script) -> Iterator[None]:
        """Let a method (or CHECK) do something else for the block."""
        self.scripts[method] = script
        try:
            yield
        finally:
            del self.scripts[method]

    def raw(self, data: bytes) -> bytes:
        """Send bytes on a connection of their own and answer what comes until it is one whole answer, or the end."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.ports.edge_port)) as connection:
            connection.settimeout(10)
            connection.sendall(data)
            with contextlib.suppress(ConnectionResetError):
                while not _whole(answer) and (piece := connection.recv(65536)):
                    answer += piece
        return answer

    def logged(self, request_id: str) -> dict[str, Any]:
        """The line of the access log that names a request; waits for it up to 15 s, since Envoy writes in batches."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            lines = self.settings.access_log.read_text().splitlines() if self.settings.access_log else []
            for line in lines:
                if request_id in line:
                    return dict(json.loads(line))
            time.sleep(0.05)
        raise LookupError(f"the access log has no {request_id}")

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _service(self, name: str) -> Any:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_metadata_size", 32 * 1024)])
        server.add_generic_rpc_handlers((_Handler(self),))
        authority, leaf, key = (self._pem(file) for file in ("ca.crt", f"{name}.crt", f"{name}.key"))
        credentials = grpc.ssl_server_credentials([(key, leaf)], authority, require_client_auth=True)
        server.add_secure_port(f"127.0.0.1:{self.ports.of(name)}", credentials)
        await server.start()
        return server

    async def _media(self) -> Any:
        async def answer(request: web.Request) -> web.Response:
            body = await request.read()
            self.calls.append(Call(f"{request.method} {request.path}", dict(request.headers), len(body)))
            return web.Response(text=self.content)

        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", answer)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.settings.certificates / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.settings.certificates / "media.crt", self.settings.certificates / "media.key")
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.ports.of("media"), ssl_context=context).start()
        return runner

    def _pem(self, file: str) -> bytes:
        return (self.settings.certificates / file).read_bytes()


def refused(answer: httpx.Response) -> tuple[int, int, str]:
    """HTTP status, gRPC code and reason of a refusal, whose shape is checked on the way."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert body.keys() == {"code", "message", "details"}
    assert len(body["message"]) > 10
    infos = [row for row in body["details"] if row["@type"] == INFO]
    assert len(infos) == 1
    assert infos[0]["domain"] == "edge.filmgate"
    assert infos[0]["metadata"]["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, body["code"], infos[0]["reason"]


def _whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head)
    return bool(end and length and len(body) >= int(length[1]))


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every method of the contracts with an empty message, streams with two, and Check with a token."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def service(self, details: Any) -> Any:
        """Return the handler of a method, None for one that is in no contract."""
        if details.method == CHECK:
            return grpc.unary_unary_rpc_method_handler(self._check)
        name = details.method.removeprefix("/")
        try:
            method = descriptor_pool.Default().FindMethodByName(name.replace("/", "."))
        except KeyError:
            return None
        taken, given = (message_factory.GetMessageClass(kind) for kind in (method.input_type, method.output_type))

        async def one(raw: bytes, context: Any) -> bytes:
            self._edge.calls.append(_call(name, taken.FromString(raw), context))
            script = self._edge.scripts.get(name)
            return ((await script(context) if script else None) or given()).SerializeToString()

        async def many(raw: bytes, context: Any) -> Any:
            first = await one(raw, context)
            for number in (1, 2):
                yield given(sequence=number).SerializeToString() + first

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(many)
        return grpc.unary_unary_rpc_method_handler(one)

    async def _check(self, raw: bytes, context: Any) -> bytes:
        self._edge.checks.append(external_auth_pb2.CheckRequest.FromString(raw))
        script = self._edge.scripts.get(CHECK)
        answer = await script(context) if script else None
        return (answer or passed({"x-filmgate-caller": CALLER_TOKEN})).SerializeToString()


def passed(headers: dict[str, str]) -> external_auth_pb2.CheckResponse:
    """Check's answer that lets a call pass and adds headers to it."""
    answer = external_auth_pb2.CheckResponse()
    answer.status.code = 0
    for key, value in headers.items():
        header = answer.ok_response.headers.add().header
        header.key, header.value = key, value
    return answer


async def fail(failure: errors.Failure, domain: str, request_id: str, context: Any) -> None:
    """End a call as the suite's servers do."""
    status = rpc_status.to_status(errors.to_status(failure, domain, request_id))
    await context.abort_with_status(status)


def _call(name: str, request: Message, context: Any) -> Call:
    headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    return Call(name, headers, request, context.time_remaining())

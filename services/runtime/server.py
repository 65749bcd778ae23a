"""One process: a gRPC server with mutual TLS, a plaintext health port, background parts, and a graceful end."""

import asyncio
import dataclasses
import gc
import ipaddress
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import grpc
from cryptography import x509
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from services.runtime import channels, clock, metrics, telemetry
from services.runtime.caller import STAFF, Access, Verifier
from services.runtime.config import Settings, StartFault
from services.runtime.interceptors import Interceptors

GRACE_SECONDS = 15.0
"""As long as the longest call that is no stream: what has begun is not cut off."""
EMBEDDED_CA = "CN=Filmgate embedded CA"
"""Subject of the CA that the supervisor makes for one machine."""
LIVE = "live"
"""Name by which a supervisor asks the health port whether the process answers at all."""
_CHECK_SECONDS = 2.0
_EVERY_SECONDS = 1.0
_LOOK_SECONDS = 1.0
"""So often is it asked whether a port with calls in it still takes new ones; without calls gRPC tells it at once."""
_YOUNG_OBJECTS = 10_000
"""So many new objects are let pass before the collector looks for cycles; CPython's 700 are a few calls."""
_HEALTH_CALLS = 32
"""Calls at once on the health port, each of which may hold a thread until its message has come."""
_HEALTH_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", 4),  # one connection does not take all threads
    ("grpc.max_connection_age_ms", 10_000),  # nor do idle ones keep them
    ("grpc.max_connection_age_grace_ms", 1_000),
]
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
log = telemetry.logger(__name__)


@dataclasses.dataclass(frozen=True)
class ServiceRegistration:
    """One gRPC service of a process: its descriptor, the generated add function, the servicer, its ACCESS table."""

    service: ServiceDescriptor
    add: Callable[[Any, Any], None]
    servicer: Any
    access: Mapping[str, Access]


class BackgroundTask(Protocol):
    """What works beside the server for as long as the process lives, such as a jobs.Runner."""

    async def run(self) -> None:
        """Work until drained or cancelled."""
        ...

    async def drain(self, seconds: float) -> None:
        """Stop taking new work, let the present end, and answer within so many seconds."""
        ...


@dataclasses.dataclass
class Server:
    """A built server, and a part of its process (see `BackgroundTask`); `port` is where it listens."""

    grpc_server: Any
    port: int

    async def start(self) -> None:
        """Begin to answer."""
        await self.grpc_server.start()

    async def run(self) -> None:
        """Return when the port is closed; raise what closed it when that was not `stop`. See `BackgroundTask`."""
        await _closed(self.grpc_server)

    async def drain(self, seconds: float) -> None:
        """Stop within so many seconds. See `BackgroundTask`."""
        await self.stop(seconds)

    async def stop(self, grace: float | None = None) -> None:
        """Take no new calls, let the present ones end within `grace` seconds, then end them."""
        await self.grpc_server.stop(grace)


async def _closed(grpc_server: Any) -> None:
    """Return when a started server was stopped; raise what made it close its port by itself.

    grpcio 1.85 decodes the HTTP/2 `:path` in the loop that takes all calls: one path that is not UTF-8 raises
    UnicodeDecodeError there, the port is closed for good, and the process would live on without it.
    """
    while await grpc_server.wait_for_termination(_LOOK_SECONDS):  # with calls in it, it raises only after a timeout
        pass


def build(
    settings: Settings,
    registrations: Sequence[ServiceRegistration],
    verifier: Verifier | None = None,
    port: int | None = None,
) -> Server:
    """Build a server on `settings.bind` and the process's port (0: a free one).

    Raises ValueError when a ACCESS table does not name exactly the methods of its service, RuntimeError when the port
    is taken.
    """
    registrations = [*registrations, _reflection([registration.service.full_name for registration in registrations])]
    accesses: dict[str, Access] = {}
    for registration in registrations:
        if set(registration.access) != set(registration.service.methods_by_name):
            odd = set(registration.access) ^ set(registration.service.methods_by_name)
            raise ValueError(f"ACCESS of {registration.service.full_name} is wrong about {', '.join(sorted(odd))}")
        accesses |= {
            f"/{registration.service.full_name}/{method}": access for method, access in registration.access.items()
        }
    grpc_server = grpc.aio.server(
        interceptors=[Interceptors(settings.name, accesses, verifier)],
        options=[*channels.OPTIONS, *_OPTIONS],
        maximum_concurrent_rpcs=10_000,  # open watchers count too
    )
    for registration in registrations:
        registration.add(registration.servicer, grpc_server)
    authority, certificate, key = settings.tls()
    credentials = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
    wanted = settings.port if port is None else port
    return Server(grpc_server, grpc_server.add_secure_port(f"{settings.bind}:{wanted}", credentials))


_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # The edge lets 8 KiB of headers through; without registration for the rest of ours, a long one would answer 429.
    ("grpc.max_metadata_size", 32 * 1024),
    ("grpc.absolute_max_metadata_size", 64 * 1024),
]


def _reflection(names: Sequence[str]) -> ServiceRegistration:
    """Reflection, for the operator's certificate alone."""
    service = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
    servicer = reflection.aio.ReflectionServicer([*names, reflection.SERVICE_NAME])
    return ServiceRegistration(
        service, reflection_pb2_grpc.add_ServerReflectionServicer_to_server, servicer,
        {"ServerReflectionInfo": STAFF("operator")},
    )  # fmt: skip


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # the library is untyped
    """grpc.health.v1.Health/Check in plaintext, on a port of its own: NOT_SERVING until every check has held once.

    The service `live` is SERVING from the start: that the process answers, whatever it waits for.
    A check is a coroutine function that raises, or takes longer than 2 s, when its thing is not well.

    The server has threads: one of grpc.aio closes its port for good at a single request of anybody (see `_closed`).
    Watch is not served: it would wait in the event loop for a stranger to read.
    """

    def __init__(self, bind: str, port: int, checks: Mapping[str, Callable[[], Awaitable[object]]]) -> None:
        self._states = {"": _NOT_SERVING, LIVE: _SERVING}
        self._server = grpc.server(
            ThreadPoolExecutor(_HEALTH_CALLS), options=_HEALTH_OPTIONS, maximum_concurrent_rpcs=_HEALTH_CALLS
        )
        health_pb2_grpc.add_HealthServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"{bind}:{port}")
        self._checks = checks
        self._served: bool | None = None
        self._leaves = False

    async def start(self) -> None:
        """Begin to answer, with NOT_SERVING."""
        self._loop = asyncio.get_running_loop()
        self._server.start()

    def Check(self, request: Any, context: Any) -> Any:
        """Return the status of a service, in a thread of gRPC's.

        Aborts with NOT_FOUND for another service, with UNAVAILABLE when the event loop does not turn for 2 s: a process
        that hangs is not well, though its threads are.
        """
        try:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result(_CHECK_SECONDS)
        except TimeoutError:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the process hangs")
        if request.service not in self._states:
            context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return health_pb2.HealthCheckResponse(status=self._states[request.service])

    async def run(self) -> None:
        """Check once a second, for ever, and measure how late the loop wakes."""
        while True:
            await self.check()
            asleep = time.monotonic()
            await asyncio.sleep(_EVERY_SECONDS)
            metrics.observe("filmgate_process_lag_seconds", max(0.0, time.monotonic() - asleep - _EVERY_SECONDS))

    async def check(self) -> bool:
        """Run all checks once and set what is answered; returns whether all held."""
        failed = [name for name, check in self._checks.items() if not await _holds(check)]
        self._states[""] = _NOT_SERVING if failed or self._leaves else _SERVING
        metrics.set_gauge("filmgate_process_ready", int(not failed))
        if self._served is not (not failed):
            self._served = not failed
            log.info("health_changed", state="not_serving" if failed else "serving", failed=failed)
        return not failed

    async def drain(self, _seconds: float) -> None:
        """Report NOT_SERVING for good, at once. See `BackgroundTask`."""
        self._leaves = True
        self._states |= dict.fromkeys(self._states, _NOT_SERVING)

    async def stop(self) -> None:
        """End the health port."""
        await asyncio.to_thread(self._server.stop(0).wait)


async def _holds(check: Callable[[], Awaitable[object]]) -> bool:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except Exception:  # noqa: BLE001  a check says "not well" by raising anything
        return False
    return True


async def serve(
    settings: Settings,
    registrations: Sequence[ServiceRegistration] = (),
    *,
    verifier: Verifier | None = None,
    parts: Sequence[BackgroundTask] = (),
    checks: Mapping[str, Callable[[], Awaitable[object]]] | None = None,
    on_stop: Sequence[Callable[[], Awaitable[object]]] = (),
    grace: float = GRACE_SECONDS,
    embedded: Sequence[str] = (),
) -> None:
    """Run the process until SIGTERM or SIGINT: not serving, drain, stop. Without registrations there is no gRPC port.

    It serves only after the verifier has keys and the checks held once. A part that ends by itself ends the process
    with RuntimeError, so that its supervisor starts it anew, and so does a gRPC port that closes by itself; a `bind`
    for which `refuse_outside` raises does too.
    """
    refuse_outside(settings, embedded)
    ended, stop_metrics = _end_signal(), _measured(settings)
    ready = {**(checks or {}), **({"caller_keys": verifier.ready} if verifier else {})}
    well = Health(settings.bind, settings.health_port, ready)
    built = build(settings, registrations, verifier) if registrations else None
    await well.start()
    if built:
        await built.start()
    _begun(built.port if built else 0)
    parts = [well, *parts, *([built] if built else [])]
    tasks = [asyncio.create_task(part.run(), name=type(part).__name__) for part in parts]
    stop = asyncio.create_task(ended.wait())
    try:
        fallen = await _fallen(stop, tasks)
        await asyncio.gather(*(part.drain(grace) for part in parts), return_exceptions=True)
        for task in fallen:
            raise RuntimeError(f"the part {task.get_name()} ended") from task.exception()
    finally:
        await _cancel(stop, *tasks)
        await well.stop()
        for end in (stop_metrics, *on_stop):
            await end()
        log.info("stopped")


async def _fallen(stop: asyncio.Task[Any], tasks: Sequence[asyncio.Task[None]]) -> set[asyncio.Task[Any]]:
    """Wait for `stop` or a part that ends by itself; return such parts, each told at once: the drain may take long."""
    done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {stop}:
        log.error("part_ended", kind=task.get_name(), error=task.exception())
    return done - {stop}


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _begun(port: int) -> None:
    """Keep what is loaded: modules stay until the end, and the collector need not walk them again in mid-call."""
    log.info("started", port=port)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


def _end_signal() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    return ended


def refuse_outside(settings: Settings, embedded: Sequence[str]) -> None:
    """Raise StartFault when `bind` is not loopback while something is on that is made for one machine.

    That is the self-made CA, a clock that tests move, and what a process names in `embedded` (architecture, section 2).
    """
    if ipaddress.ip_address(settings.bind).is_loopback:
        return
    issuer = x509.load_pem_x509_certificate(settings.tls()[0]).subject.rfc4514_string()
    faults = [*embedded, *(["the self-made CA"] if issuer == EMBEDDED_CA else [])]
    faults += [clock.TEST_CLOCK] if settings.clock_file else []
    if faults:
        raise StartFault(f"with {', '.join(faults)} this process listens on loopback only, not on {settings.bind}")


def _measured(settings: Settings) -> Callable[[], Awaitable[object]]:
    """Show the metrics, and among them until when our certificate holds; returns what ends it."""
    certificate = x509.load_pem_x509_certificate(settings.tls()[1])
    metrics.set_gauge("filmgate_certificate_end_seconds", certificate.not_valid_after_utc.timestamp())
    stop_metrics = metrics.serve(settings.bind, settings.metrics_port)
    return lambda: asyncio.to_thread(stop_metrics)

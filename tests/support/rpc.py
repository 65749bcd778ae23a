"""Real gRPC for tests: a server of the runtime on a free port with mutual TLS, and stubs as any peer."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.runtime import caller, channels, server
from services.runtime.clock import Clock
from services.runtime.config import Settings
from tests.support import tls

Stub = TypeVar("Stub")
KID = "test"
KEY = Ed25519PrivateKey.generate()
ORGANIZATION = "org_01K9000000000000000000000A"
PROJECT = "prj_01K9000000000000000000000B"
ACCOUNT = "acc_01K9000000000000000000000C"
SCOPES = ("video.read", "video.write", "billing.read", "keys", "account")


async def fetch_keys() -> dict[str, bytes]:
    """What auth.ListCallerKeys would answer for the test's key."""
    return {KID: KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)}


def caller_token(audience: str, scopes: Sequence[str] = SCOPES, **claims: Any) -> str:
    """Mint a caller token with the test's key; claims as in `caller.mint` (organization, account, clock ...)."""
    whole = {"organization": ORGANIZATION, "project": PROJECT, "account": ACCOUNT, **claims}
    return caller.mint(KEY, KID, audience=audience, scopes=scopes, **whole)


def as_caller(audience: str, scopes: Sequence[str] = SCOPES, **claims: Any) -> tuple[tuple[str, str], ...]:
    """Metadata of a customer's call: `await stub.GetVideo(request, metadata=rpc.as_caller("generation"))`."""
    return channels.as_caller(caller_token(audience, scopes, **claims))


def settings(name: str, kind: type[Settings] = Settings, **fields: Any) -> Any:
    """Settings of a process with the test's certificates; `kind` is the service's own class."""
    given = {field.name for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING}
    named = {} if "name" in given else {"name": name}
    certs = tls.home() / "certs"
    files = {"tls_cert": certs / f"{tls.leaf(name)}.crt", "tls_key": certs / f"{tls.leaf(name)}.key"}
    return kind(**{**named, "home": tls.home(), **files, **fields})


@dataclasses.dataclass
class Served:
    """A running server of a test."""

    name: str
    port: int
    channels: list[grpc.aio.Channel]

    @property
    def address(self) -> str:
        """host:port, for the settings of another process."""
        return f"127.0.0.1:{self.port}"

    def channel(self, peer: str = "edge", authority: str = "suite") -> grpc.aio.Channel:
        """Open a channel that shows the certificate of `peer`; it is closed with the server."""
        _, certificate, key = tls.files(peer, authority)
        credentials = grpc.ssl_channel_credentials(tls.files(peer)[0], key, certificate)
        options = [("grpc.ssl_target_name_override", tls.leaf(self.name))]
        opened = grpc.aio.secure_channel(self.address, credentials, options=options)
        self.channels.append(opened)
        return opened

    def blocking_channel(self, peer: str = "edge") -> grpc.Channel:
        """Open a channel for a thread of its own, which needs no event loop; whoever opens it closes it."""
        authority, certificate, key = tls.files(peer)
        options = [("grpc.ssl_target_name_override", tls.leaf(self.name))]
        return grpc.secure_channel(
            self.address, grpc.ssl_channel_credentials(authority, key, certificate), options=options
        )

    def stub(self, kind: Callable[[grpc.aio.Channel], Stub], peer: str = "edge") -> Stub:
        """Make a stub that calls as `peer`."""
        return kind(self.channel(peer))


@contextlib.asynccontextmanager
async def serve(
    name: str, registrations: Sequence[server.ServiceRegistration], *, clock: Clock | None = None
) -> AsyncIterator[Served]:
    """Serve as the process `name` until the end of the block; customers are verified with the test's key."""
    verifier = caller.Verifier(fetch_keys, name, clock)
    built = server.build(settings(name), registrations, verifier, port=0)
    await built.start()
    served = Served(name, built.port, [])
    try:
        yield served
    finally:
        for channel in served.channels:
            await channel.close()
        await built.stop(0)


@contextlib.asynccontextmanager
async def refused(code: grpc.StatusCode | None = None, reason: str = "") -> AsyncIterator[list[Any]]:
    """Expect a refusal; the yielded list holds the `errors.RemoteFailure` afterwards."""
    from services.runtime import errors

    found: list[Any] = []
    try:
        yield found
    except grpc.aio.AioRpcError as error:
        failure = errors.of(error)
        found.append(failure)
        if code not in (None, failure.code) or reason not in ("", failure.reason):
            raise AssertionError(f"{reason or code} was expected: {failure} {error.details()}") from error
    else:
        raise AssertionError(f"{reason or code} was expected, but the call succeeded")

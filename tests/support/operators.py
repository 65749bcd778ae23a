"""The operator's way in: gRPC with a certificate of the suite, straight to a service, past the edge."""

import contextlib
from collections.abc import AsyncIterator

import grpc

from deploy.local.suite import Suite


@contextlib.asynccontextmanager
async def door(suite: Suite, service: str, certificate: str = "operator") -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel to `service` that shows `certificate`; an empty name shows none."""
    certs = suite.home / "certs"
    own = [(certs / f"{certificate}.{kind}").read_bytes() for kind in ("key", "crt")] if certificate else [None, None]
    credentials = grpc.ssl_channel_credentials((certs / "ca.crt").read_bytes(), *own)
    address = f"127.0.0.1:{suite.ports.of(service)}"
    options = [("grpc.ssl_target_name_override", service)]
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        yield channel

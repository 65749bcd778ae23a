"""The published methods, read from the descriptor set: their HTTP rules and how the edge treats them."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HTTP, EDGE = "google.api.http", "filmgate.edge.v1.edge"
VERBS = ("get", "put", "post", "delete", "patch")
DEFAULT_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class Method:
    """One way to call a published method from outside."""

    name: str
    """package.Service/Method; a method with additional bindings comes once for each."""
    verb: str
    path: str
    gate: str
    strictness: str
    check_body: bool = False
    seconds: int = DEFAULT_SECONDS
    streaming: bool = False
    plain: bool = False
    """True for plain HTTP, served by media."""
    scope: str = ""
    """The one scope that the method's policy asks for; empty where no credential is."""

    @property
    def service(self) -> str:
        """package.Service."""
        return self.name.partition("/")[0]

    @property
    def audience(self) -> str:
        """The service that the caller token is for: the second part of the package."""
        return self.name.split(".")[1]


def methods(descriptors: Path) -> list[Method]:
    """Read the published methods. Raises ValueError for one that lacks google.api.http or the edge's option."""
    described = descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in described.file:
        pool.Add(file)
    options = message_factory.GetMessageClass(pool.FindMessageTypeByName("google.protobuf.MethodOptions"))
    found: list[Method] = []
    for file in described.file:
        for service in file.service:
            for method in service.method:
                name = f"{file.package}.{service.name}/{method.name}"
                own = options.FromString(method.options.SerializeToString())
                found += _published(name, own, method.server_streaming, pool)
    return found


def _published(name: str, options: Any, streaming: bool, pool: descriptor_pool.DescriptorPool) -> Iterator[Method]:
    http, edge = (pool.FindExtensionByName(extension) for extension in (HTTP, EDGE))
    if options.HasExtension(http) != options.HasExtension(edge):
        raise ValueError(f"{name} must have both {HTTP} and {EDGE}, or neither")
    if not options.HasExtension(http):
        return
    rule, own = options.Extensions[http], options.Extensions[edge]
    gate = own.DESCRIPTOR.enum_types_by_name["Gate"].values_by_number[own.gate].name
    strictness = own.DESCRIPTOR.enum_types_by_name["Strictness"].values_by_number[own.strictness].name
    if "UNSPECIFIED" in gate + strictness:
        raise ValueError(f"{name} must say its gate and its strictness")
    for binding in (rule, *rule.additional_bindings):
        verb = binding.WhichOneof("pattern")
        yield Method(
            name=name, verb=verb.upper(), path=getattr(binding, verb), gate=gate, strictness=strictness,
            check_body=own.check_body, seconds=own.timeout_seconds or DEFAULT_SECONDS, streaming=streaming,
        )  # fmt: skip

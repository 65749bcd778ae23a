"""The descriptor set as the generator reads it: names, comments, options, published methods."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor

VERBS = ("get", "put", "post", "delete", "patch")
HTTP, EDGE = "google.api.http", "filmgate.edge.v1.edge"
_REFUSES = re.compile(r"\s*Refuses with ([A-Z_]+(?:, [A-Z_]+)*)\.")
_CUSTOM = re.compile(r"\{([^}=]+)\}")


@dataclasses.dataclass(frozen=True)
class Binding:
    """One way to call a published method over HTTP."""

    verb: str
    path: str
    body: str
    """`*`, the name of a field, or nothing."""

    @property
    def parameters(self) -> list[str]:
        """The fields of the path, dotted where they are nested. Raises ValueError for one of several segments."""
        if re.search(r"\{[^}]*=", self.path):
            raise ValueError(f"{self.path}: a parameter of the edge is one segment")
        return _CUSTOM.findall(self.path)


@dataclasses.dataclass(frozen=True)
class Published:
    """A method that has google.api.http, with what its comment and its options say."""

    descriptor: MethodDescriptor
    bindings: tuple[Binding, ...]
    gate: str
    check_body: bool
    words: str
    """The comment without the sentence of its refusals."""
    reasons: tuple[str, ...]
    """What it refuses with, beside what follows from its gate and its fields."""

    @property
    def service(self) -> str:
        """auth, billing, generation or privacy: the second part of the package."""
        return str(self.descriptor.full_name.split(".")[1])


class Contract:
    """A descriptor set with comments (`--include_source_info`)."""

    def __init__(self, described: descriptor_pb2.FileDescriptorSet) -> None:
        self.files = list(described.file)
        self.pool = descriptor_pool.DescriptorPool()
        for file in self.files:
            self.pool.Add(file)
        self._comments = {name: words for file in self.files for name, words in _comments(file)}
        self._options: dict[str, Any] = {}

    def comment(self, full_name: str) -> str:
        """Return a comment as one paragraph; empty where there is none."""
        return self._comments.get(full_name, "")

    def option(self, options: Any, extension: str) -> Any:
        """Return the value of an option of a descriptor, None where it is not set or no contract has it."""
        try:
            found = self.pool.FindExtensionByName(extension)
        except KeyError:
            return None
        kind = options.DESCRIPTOR.full_name
        if kind not in self._options:
            self._options[kind] = message_factory.GetMessageClass(self.pool.FindMessageTypeByName(kind))
        own = self._options[kind].FromString(options.SerializeToString())
        if found.is_repeated:
            return list(own.Extensions[found]) or None
        return own.Extensions[found] if own.HasExtension(found) else None

    def published(self) -> Iterator[Published]:
        """Yield the methods that have google.api.http, in the order of the files. Raises ValueError for a comment
        whose refusals cannot be read."""
        for file in self.files:
            for service in file.service:
                for method in service.method:
                    name = f"{file.package}.{service.name}.{method.name}"
                    found = self.pool.FindMethodByName(name)
                    rule = self.option(found.GetOptions(), HTTP)
                    if rule is not None:
                        yield self._published(found, rule)

    def _published(self, method: MethodDescriptor, rule: Any) -> Published:
        edge = self.option(method.GetOptions(), EDGE)
        if edge is None:
            raise ValueError(f"{method.full_name} must have both {HTTP} and {EDGE}, or neither")
        words = self.comment(method.full_name)
        found = _REFUSES.search(words)
        if ("efuses with" in words) != bool(found) or len(_REFUSES.findall(words)) > 1:
            raise ValueError(f"{method.full_name}: say once `Refuses with REASON, REASON.`, as a sentence of its own")
        return Published(
            descriptor=method,
            bindings=tuple(_binding(one) for one in (rule, *rule.additional_bindings)),
            gate=edge.DESCRIPTOR.enum_types_by_name["Gate"].values_by_number[edge.gate].name,
            check_body=edge.check_body,
            words=_REFUSES.sub("", words).strip(),
            reasons=tuple(found[1].split(", ")) if found else (),
        )


def is_map(field: FieldDescriptor) -> bool:
    """Say whether a field is a map."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def short_name(kind: Descriptor | EnumDescriptor) -> str:
    """Return the name of a type without its package: `Video.State`."""
    return str(kind.full_name.removeprefix(f"{kind.file.package}."))


def _binding(rule: Any) -> Binding:
    verb = rule.WhichOneof("pattern")
    if verb not in VERBS:
        raise ValueError(f"the edge has no verb {verb}")
    return Binding(verb, getattr(rule, verb), rule.body)


def _comments(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Pairs of a full name and its comment."""
    names = dict(_names(file))
    for place in file.source_code_info.location:
        if tuple(place.path) in names and place.leading_comments.strip():
            yield f"{file.package}.{names[tuple(place.path)]}", " ".join(place.leading_comments.split())


def _names(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Path in the source info (field numbers of descriptor.proto) and name of all that may have a comment."""
    for index, service in enumerate(file.service):
        yield (6, index), service.name
        yield from (((6, index, 2, i), f"{service.name}.{method.name}") for i, method in enumerate(service.method))
    for index, message in enumerate(file.message_type):
        yield from _message_names((4, index), message, message.name)
    for index, enum in enumerate(file.enum_type):
        yield from _enum_names((5, index), enum, enum.name)


def _message_names(
    path: tuple[int, ...], message: descriptor_pb2.DescriptorProto, name: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, name
    yield from (((*path, 2, index), f"{name}.{field.name}") for index, field in enumerate(message.field))
    for index, inner in enumerate(message.nested_type):
        yield from _message_names((*path, 3, index), inner, f"{name}.{inner.name}")
    for index, enum in enumerate(message.enum_type):
        yield from _enum_names((*path, 4, index), enum, f"{name}.{enum.name}")


def _enum_names(
    path: tuple[int, ...], enum: descriptor_pb2.EnumDescriptorProto, name: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, name
    yield from (((*path, 2, index), f"{name}.{value.name}") for index, value in enumerate(enum.value))

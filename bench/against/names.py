"""One table of what the benchmark calls, in the words of each commit: names.yaml and a side's own descriptors."""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import Message

TABLE = Path(__file__).with_name("names.yaml")
_GAP = re.compile(r"\{(\w+)\}")


class Unknown(Exception):
    """A commit knows none of the forms of a name: names.yaml lacks the one that it uses."""


@dataclasses.dataclass(frozen=True)
class Method:
    """One gRPC method as a side has it: `body` is its request in JSON, with gaps; `wanted` a place in its answer."""

    path: str
    request: type[Message]
    answer: type[Message]
    body: Mapping[str, Any]
    wanted: str = ""

    def fill(self, **values: Any) -> Message:
        """Return the request; a gap that is a whole text takes the value as it is. Raises KeyError for an open gap."""
        return json_format.ParseDict(_filled(self.body, values), self.request())

    def read(self, answer: Message) -> Any:
        """Return what stands at `wanted`, such as `price_books.0.version`, of an answer in JSON."""
        found = json_format.MessageToDict(answer, preserving_proto_field_name=True)
        for step in self.wanted.split("."):
            found = found[int(step) if step.isdigit() else step]
        return found


class Names:
    """The names of one side, read from its `gen` folder."""

    def __init__(self, gen: Path, table: Mapping[str, Any] | None = None) -> None:
        self._table = table if table is not None else yaml.safe_load(TABLE.read_text())
        self._pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString((gen / "filmgate.pb").read_bytes()).file:
            self._pool.Add(file)
        self._paths = set(json.loads((gen / "openapi.json").read_text())["paths"])

    def method(self, name: str) -> Method:
        """Return the newest form of a gRPC method that this side has. Raises Unknown."""
        for form in self._table[name]:
            service, _, method = form["method"].partition("/")
            try:
                found = self._pool.FindServiceByName(service).FindMethodByName(method)
            except KeyError:
                continue
            if set(form["body"]) <= {field.name for field in found.input_type.fields}:
                kinds = (message_factory.GetMessageClass(kind) for kind in (found.input_type, found.output_type))
                return Method(f"/{service}/{method}", *kinds, form["body"], form.get("wanted", ""))
        raise Unknown(f"names.yaml: none of the forms of {name!r} is known to this commit")

    def path(self, name: str, **values: str) -> str:
        """Return the newest form of a public path that this side serves, filled in. Raises Unknown."""
        for form in self._table["http"][name]:
            if any(_shape(form) == _shape(path) for path in self._paths):
                return str(_filled(form, values))
        raise Unknown(f"names.yaml: none of the paths of {name!r} is known to this commit")


def modules(root: Path) -> tuple[str, str]:
    """Return the modules of the suite and of its ports in a checkout. Raises Unknown."""
    for form in yaml.safe_load(TABLE.read_text())["suite"]:
        if (root / (form["module"].replace(".", "/") + ".py")).exists():
            return form["module"], form["ports"]
    raise Unknown(f"names.yaml: no form of the suite is in {root}")


def reports() -> list[list[str]]:
    """Return the forms of the statements that report a loaded model, newest first."""
    return list(yaml.safe_load(TABLE.read_text())["report"])


def _shape(path: str) -> str:
    return _GAP.sub("{}", path)


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(inner, values) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    whole = _GAP.fullmatch(value)
    return values[whole[1]] if whole else _GAP.sub(lambda gap: str(values[gap[1]]), value)

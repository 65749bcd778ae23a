"""The elements of personal data, walked: rules, the gates over protos and tables, and the way to a table's person."""

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

from filmgate.privacy.v1 import elements_pb2

_SUITE = "filmgate."


@functools.cache
def rule(element: int) -> elements_pb2.ElementRule:
    """Return the rule of an element. Raises KeyError for a number that is none."""
    value = elements_pb2.Element.DESCRIPTOR.values_by_number[element]
    rules: Any = elements_pb2.rule
    found: elements_pb2.ElementRule = value.GetOptions().Extensions[rules]
    return found


def element_of(field: FieldDescriptor) -> int:
    """Return the element that a proto field names, 0 for none."""
    elements: Any = elements_pb2.element
    return int(field.GetOptions().Extensions[elements])


def unannotated_fields(files: Iterable[FileDescriptor]) -> list[str]:
    """Name every leaf field of the suite's messages in these files that has no element.

    A field whose type is a message of the suite is no leaf: its own fields are. A `google.*` message is one leaf, a
    map is one leaf.
    """
    return [field.full_name for file in files for field in leaves(file) if not element_of(field)]


def leaves(file: FileDescriptor) -> Iterator[FieldDescriptor]:
    """Yield the leaf fields of all messages of a file."""
    for message in file.message_types_by_name.values():
        yield from _leaves(message)


def _leaves(message: Descriptor) -> Iterator[FieldDescriptor]:
    for nested in message.nested_types:
        if not nested.GetOptions().map_entry:
            yield from _leaves(nested)
    for field in message.fields:
        inner = field.message_type
        if inner is None or not inner.full_name.startswith(_SUITE) or inner.GetOptions().map_entry:
            yield field


def unannotated_columns(metadata: sa.MetaData) -> list[str]:
    """Name every column (`table.column`) whose info has no element."""
    columns = (column for table in metadata.tables.values() for column in table.columns)
    return [str(column) for column in columns if not column.info.get("element")]


def is_personal(table: sa.Table) -> bool:
    """Say whether a table holds an element that is about a person."""
    return any(rule(column.info["element"]).category for column in table.columns if column.info.get("element"))


def subject_path(table: sa.Table) -> list[sa.Column[object]]:
    """Return the columns that lead from a row to its account or organization, [] when nothing does.

    One column where the table names the account or organization itself, else foreign keys to a table that does.
    """
    return _path(table, frozenset())


def _path(table: sa.Table, seen: frozenset[str]) -> list[sa.Column[object]]:
    for wanted in (elements_pb2.Element.ACCOUNT_ID, elements_pb2.Element.ORGANIZATION_ID):
        for column in table.columns:
            if column.info.get("element") == wanted:
                return [column]
    for column in table.columns:
        for key in column.foreign_keys:
            if key.column.table.name not in seen and (rest := _path(key.column.table, seen | {table.name})):
                return [column, *rest]
    return []

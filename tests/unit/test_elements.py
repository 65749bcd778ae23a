"""Every field of every proto and every column of every table names its data element, and personal tables a person."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from google.protobuf.descriptor import FileDescriptor

from filmgate.privacy.v1 import elements_pb2
from services.runtime import subject
from services.runtime.database import Base

ROOT = Path(__file__).parents[2]
SERVICES = ("auth", "billing", "generation", "privacy")
RULES = "filmgate/privacy/v1/elements.proto"

NOT_ABOUT_ONE = {"identifiers"}
"""Categories that alone make no table a person's: opaque ids of things."""

PATHLESS = {
    "audit_events": "append-only by law; names persons by id alone",
    "source_sends": "counts by address, swept within days",
    "target_sends": "counts by keyed hash of a contact, swept within days",
}
"""Tables that lead to no person, and why none needs to be found."""

ANNOTATIONS = {RULES, "filmgate/edge/v1/edge.proto"}
"""Protos that describe the others; no person's data passes through their messages."""


def files() -> Iterator[FileDescriptor]:
    """Yield the descriptor of every proto of the suite but those that describe the others."""
    for path in sorted((ROOT / "protos").rglob("*.proto")):
        name = str(path.relative_to(ROOT / "protos"))
        if name not in ANNOTATIONS:
            yield importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2").DESCRIPTOR


def tables() -> list[sa.Table]:
    """Import every tables.py; returns all tables of the suite."""
    for path in sorted((ROOT / "services").glob("*/**/tables.py")):
        importlib.import_module(str(path.relative_to(ROOT)).removesuffix(".py").replace("/", "."))
    for name in ("jobs", "idempotency"):
        importlib.import_module(f"services.runtime.{name}")
    return [*Base.metadata.tables.values()]


def test_every_leaf_field_of_every_proto_names_an_element() -> None:
    assert subject.unannotated_fields(files()) == []


def test_every_column_of_every_table_names_an_element() -> None:
    assert tables()
    assert subject.unannotated_columns(Base.metadata) == []


def test_every_named_element_is_one() -> None:
    named = {subject.element_of(field) for file in files() for field in subject.leaves(file)}
    named |= {column.info["element"] for table in tables() for column in table.columns}
    assert named <= set(elements_pb2.Element.DESCRIPTOR.values_by_number) - {0}


def test_no_element_is_a_dead_rule() -> None:
    named = {subject.element_of(field) for file in files() for field in subject.leaves(file)}
    named |= {column.info["element"] for table in tables() for column in table.columns}
    dead = [value.name for value in elements_pb2.Element.DESCRIPTOR.values[1:] if value.number not in named]
    assert dead == []


def test_a_sealed_element_lies_in_a_column_of_bytes() -> None:
    """What is sealed under a person's key is ciphertext; a text column would hold it in the clear."""
    faults = [
        str(column)
        for table in tables()
        for column in table.columns
        if subject.rule(column.info["element"]).sealed and not isinstance(column.type, sa.LargeBinary)
    ]
    assert faults == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_table_with_content_about_a_person_leads_to_the_person(service: str) -> None:
    """Without such a way neither copy nor erasure would find the row."""
    lost = []
    for table in tables():
        homes = {mapper.class_.__module__ for mapper in Base.registry.mappers if mapper.local_table is table}
        if not any(home.startswith(f"services.{service}.") for home in homes):
            continue
        rules = [subject.rule(column.info["element"]) for column in table.columns]
        personal = any(rule.category and rule.category not in NOT_ABOUT_ONE for rule in rules)
        if personal and table.name not in PATHLESS and not subject.subject_path(table):
            lost.append(table.name)
    assert lost == []

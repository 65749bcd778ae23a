"""Every field and every column names the data element that it holds, and every element has a whole rule."""

import importlib

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from filmgate.privacy.v1 import elements_pb2
from filmgate.privacy.v1.elements_pb2 import Element
from services.runtime import database, subject
from services.runtime.database import Base
from tests.support.source import ROOT, SERVICES, below

RULE = elements_pb2.ElementRule
CONTRACTS = sorted(
    path.relative_to(ROOT / "protos").with_suffix("").as_posix() for path in (ROOT / "protos").rglob("*.proto")
)
OPTIONS = ("/elements", "/edge")
"""Contracts of options: they describe other contracts and hold no data."""
NAMED = [element for element in Element.values() if element]

NO_PERSON = {
    "audit_events": "ids and codes of what was done; the subject is text, since it is not always a person",
    "source_sends": "counts of codes per hashed address of a network, before there is an account",
    "target_sends": "counts of codes per hashed contact point, before there is an account",
}
"""Tables that hold a personal element but lead to no account or organisation, and why."""


def tables(service: str) -> list[sa.Table]:
    """The tables of a service, with those of the runtime that it uses."""
    for source in below(f"services/{service}"):
        if source.path.endswith("/tables.py"):
            importlib.import_module(source.module)
    return database.tables_of(service)


@pytest.mark.parametrize("contract", [name for name in CONTRACTS if not name.endswith(OPTIONS)])
def test_every_field_names_its_element(contract: str):
    module = importlib.import_module(contract.replace("/", ".") + "_pb2")
    assert subject.unannotated_fields([module.DESCRIPTOR]) == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_column_names_its_element(service: str):
    columns = [column for table in tables(service) for column in table.columns]
    assert [str(column) for column in columns if not column.info.get("element")] == []


@pytest.mark.parametrize("element", NAMED, ids=[Element.Name(element) for element in NAMED])
def test_every_element_has_a_whole_rule(element: int):
    rule = subject.rule(element)
    assert rule.export != RULE.EXPORT_UNSPECIFIED
    assert rule.on_erase != RULE.ERASE_UNSPECIFIED
    assert rule.log != RULE.LOG_UNSPECIFIED
    assert bool(rule.keep_basis) == (rule.on_erase == RULE.KEEP)
    assert rule.on_erase == RULE.KEEP or not rule.keep_days
    assert rule.sealed == (rule.on_erase == RULE.SHRED)
    assert rule.legal_basis in {"contract", "legal duty", "legitimate interest", "consent", "none"}
    assert bool(rule.category) == bool(rule.purposes) == (rule.legal_basis != "none")
    assert rule.log != RULE.PLAIN or not rule.sensitive


@pytest.mark.parametrize("service", SERVICES)
def test_sealed_elements_are_ciphertext(service: str):
    sealed = [
        column for table in tables(service) for column in table.columns if subject.rule(column.info["element"]).sealed
    ]
    assert [str(column) for column in sealed if not isinstance(column.type, sa.LargeBinary)] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_row_about_a_person_leads_to_its_person(service: str):
    lost = [table.name for table in tables(service) if subject.is_personal(table) and not subject.subject_path(table)]
    assert sorted(set(lost) - NO_PERSON.keys()) == []


@pytest.mark.parametrize("service", SERVICES)
async def test_migrations_make_the_tables_that_the_code_declares(postgres, service: str):
    own = {table.name for table in tables(service) if f"services.{service}." in _home(table)}
    async with postgres.database(service) as migrated, migrated.engine.connect() as connection:
        differences = await connection.run_sync(lambda sync: _differences(sync, own))
    assert differences == []


def _home(table: sa.Table) -> str:
    return next(mapper.class_.__module__ for mapper in Base.registry.mappers if mapper.local_table is table)


def _differences(connection: sa.Connection, own: set[str]) -> list[str]:
    """What sets the migrated database apart from the service's tables and from those of the runtime that it took."""
    there = set(sa.inspect(connection).get_table_names()) - {"alembic_version"}
    metadata = sa.MetaData()
    for table in Base.metadata.sorted_tables:
        if table.name in own | there:
            table.to_metadata(metadata)
    context = MigrationContext.configure(
        connection, opts={"include_name": lambda name, kind, _: kind != "table" or name != "alembic_version"}
    )
    return [str(difference) for difference in compare_metadata(context, metadata)]

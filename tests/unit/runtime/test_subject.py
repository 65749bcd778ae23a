"""The gates over protos and tables, and the way to a table's person."""

import sqlalchemy as sa

from filmgate.privacy.v1.elements_pb2 import Element, ElementRule
from services.runtime import subject
from tests.support.toy import pb2


def test_a_rule_stands_on_its_element() -> None:
    assert subject.rule(Element.PHONE).sealed
    assert subject.rule(Element.PHONE).log == ElementRule.HIDDEN
    assert subject.rule(Element.OPERATIONAL).category == ""


def test_every_element_has_a_whole_rule() -> None:
    for value in Element.DESCRIPTOR.values[1:]:
        rule = subject.rule(value.number)
        assert rule.legal_basis, value.name
        assert rule.export, value.name
        assert rule.on_erase, value.name
        assert rule.log, value.name
        assert bool(rule.keep_basis) == (rule.on_erase == ElementRule.KEEP), value.name
        assert bool(rule.category) == (rule.legal_basis != "none"), value.name


def test_a_leaf_without_an_element_is_named() -> None:
    assert subject.unannotated_fields([pb2.DESCRIPTOR]) == [
        "filmgate.toy.v1.MakeRequest.bare",
        "filmgate.toy.v1.MakeRequest.boxes",
    ]


def test_messages_of_the_suite_are_no_leaves_and_googles_are() -> None:
    names = {field.full_name.rpartition(".")[2] for field in subject.leaves(pb2.DESCRIPTOR)}
    assert {"text", "price", "time", "words", "label", "color"} <= names
    assert not {"part", "parts"} & names


def column(name: str, element: int, *more: "sa.ForeignKey", key: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, *more, primary_key=key, info={"element": element})


def tables() -> sa.MetaData:
    metadata = sa.MetaData()
    sa.Table("accounts", metadata, column("id", Element.ACCOUNT_ID, key=True), column("phone", Element.PHONE))
    sa.Table("projects", metadata, column("id", Element.RESOURCE_ID, key=True), column("org", Element.ORGANIZATION_ID))
    sa.Table(
        "videos", metadata, column("id", Element.RESOURCE_ID, key=True),
        column("project", Element.RESOURCE_ID, sa.ForeignKey("projects.id")), column("prompt", Element.PROMPT),
    )  # fmt: skip
    sa.Table("frames", metadata, column("video", Element.RESOURCE_ID, sa.ForeignKey("videos.id"), key=True))
    sa.Table("prices", metadata, column("model", Element.OPERATIONAL, key=True))
    sa.Table("loose", metadata, sa.Column("id", sa.Text, primary_key=True), column("prompt", Element.PROMPT))
    return metadata


def test_a_column_without_an_element_is_named() -> None:
    assert subject.unannotated_columns(tables()) == ["loose.id"]


def test_the_path_leads_to_the_account_or_organization() -> None:
    paths = {name: [str(step) for step in subject.subject_path(table)] for name, table in tables().tables.items()}
    assert paths == {
        "accounts": ["accounts.id"],
        "projects": ["projects.org"],
        "videos": ["videos.project", "projects.org"],
        "frames": ["frames.video", "videos.project", "projects.org"],
        "prices": [],
        "loose": [],
    }


def test_a_circle_of_keys_ends() -> None:
    metadata = sa.MetaData()
    sa.Table("a", metadata, column("id", Element.RESOURCE_ID, sa.ForeignKey("b.id"), key=True))
    sa.Table("b", metadata, column("id", Element.RESOURCE_ID, sa.ForeignKey("a.id"), key=True))
    assert subject.subject_path(metadata.tables["a"]) == []


def test_what_is_personal() -> None:
    found = {name for name, table in tables().tables.items() if subject.is_personal(table)}
    assert found == {"accounts", "projects", "videos", "frames", "loose"}

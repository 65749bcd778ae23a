"""The sample policies claim only what a named test shows (P-F1). claims.yaml holds each sentence with its tests."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.privacy.config import PrivacySettings
from tests.support.source import ROOT, sources

CLAIMS: dict[str, list[dict[str, Any]]] = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text("utf-8"))
TEXTS = PrivacySettings().policy_texts
TABLES = [source.text for source in sources() if re.fullmatch(r"services/.*/tables\.py", source.path)]
PROTOS = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "protos").rglob("*.proto")))


def plain(text: str) -> str:
    """Return a text without the marks of Markdown, and without white space: Chinese lines join without a space."""
    return re.sub(r"\s|\*\*", "", re.sub(r"^(#+|>|-) ", "", text, flags=re.M))


def uncovered(text: str, sentences: list[str]) -> str:
    """Return what of a text no sentence covers. Raises ValueError for a sentence that is not next in the text."""
    rest = plain(text)
    left = ""
    for sentence in sentences:
        before, found, rest = rest.partition(plain(sentence))
        if not found:
            raise ValueError(f"not in the text, or not in this order: {sentence}")
        left += before
    return left + rest


def test_every_policy_has_its_claims():
    assert set(CLAIMS) == {path.name for path in TEXTS.iterdir()}
    assert {path.name for path in TEXTS.glob("*/*")} == {"0001.en.md", "0001.zh.md"}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", sorted(CLAIMS))
def test_every_sentence_is_a_claim_with_its_tests_or_says_why_it_is_none(kind, language):
    text = (TEXTS / kind / f"0001.{language}.md").read_text(encoding="utf-8")
    assert uncovered(text, [row[language] for row in CLAIMS[kind]]) == ""
    for row in CLAIMS[kind]:
        assert set(row) in ({"en", "zh", "tests"}, {"en", "zh", "no_claim"}), row
        assert row.get("tests") or row.get("no_claim"), row["en"]


def test_both_languages_end_as_many_sentences():
    """A pair of rows could hide a second sentence in one language; a heading or a full stop ends one."""
    ends = {"en": re.compile(r"[.](?=\s|$)"), "zh": re.compile("。")}
    for row in (row for rows in CLAIMS.values() for row in rows):
        counts = {language: len(end.findall(row[language])) for language, end in ends.items()}
        assert counts["en"] <= 1, row["en"]
        assert counts["en"] == bool(counts["zh"]), row["en"]


def test_the_named_tests_exist():
    defined = {
        f"{source.path}::{node.name}"
        for source in sources()
        if source.path.startswith("tests/")
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
    named = {test for rows in CLAIMS.values() for row in rows for test in row.get("tests", ())}
    assert len(named) > 50
    assert named <= defined, sorted(named - defined)


@pytest.mark.parametrize(
    ("text", "sentences", "left"),
    [
        ("# A\n\nOne. Two.\n", ["A", "One.", "Two."], ""),
        ("# A\n\nOne. Two. More.\n", ["A", "One.", "Two."], "More."),
        ("> **O**ne\n> two.\n", ["One two."], ""),
    ],
)
def test_what_no_claim_covers_is_seen(text, sentences, left):
    assert uncovered(text, sentences) == left


def test_a_claim_that_left_the_text_is_seen():
    with pytest.raises(ValueError, match="Three"):
        uncovered("One. Two.", ["One.", "Three."])


def test_nobody_is_sent_a_notice_of_a_new_version():
    code = {source.path: source.text for source in sources() if source.path.startswith("services/privacy/")}
    assert not [path for path, text in code.items() if re.search(r"\bnotif|notices_pb2", text, re.I)]


def test_nothing_asks_for_or_keeps_a_means_of_payment():
    names = re.findall(r"^\s*(?:repeated |optional )?[\w.]+ (\w+) = \d+", PROTOS, re.M)
    names += re.findall(r"^    (\w+): Mapped", "".join(TABLES), re.M)
    assert len(names) > 300
    words = {word for name in names for word in name.lower().split("_")}
    assert not words & {"card", "iban", "bank", "pan", "cvc", "cvv", "password", "payment", "alipay", "wechat"}
    methods = re.findall(r"^  rpc (\w+)", PROTOS, re.M)
    assert not [name for name in methods if re.search("Pay|TopUp|Deposit|Purchase|Order|Checkout", name)]


def test_no_method_deletes_an_account_or_copies_its_data():
    methods = re.findall(r"^  rpc (\w+)", PROTOS, re.M)
    assert "Register" in methods
    assert not [name for name in methods if re.search("(Delete|Close|Erase|Export|Copy).*(Account|Data|Person)", name)]


def test_no_code_trains_a_model():
    words = re.compile(r"\.backward\(|optimizer|\.train\(|GradScaler", re.I)
    faults = [f"{source.path}: {found[0]}" for source in _product() if (found := words.search(source.text))]
    assert not faults


def test_no_code_names_an_address_outside():
    """Where the product connects to, a setting says; what stands in the code is this machine or an example."""
    found = {
        url
        for source in _product()
        for text in source.strings()
        for url in re.findall(r"(?:https?|wss?|grpcs?)://([\w.-]+)", text)
    }
    assert "127.0.0.1" in found
    assert not [host for host in found if not re.fullmatch(r"127\.0\.0\.1|localhost|.*\.example(\.com)?", host)]


def _product() -> list[Any]:
    return [source for source in sources() if source.path.startswith("services/")]

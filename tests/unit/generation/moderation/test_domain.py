"""What the first moderation step finds, however it is dressed up, and what it leaves alone."""

import pytest

from services.generation.config import GenerationSettings
from services.generation.moderation import words
from services.generation.moderation.domain import Rules, Term

RULES = words.load(GenerationSettings().word_lists, ("common",))


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("hardcore porn", "sexual"),
        ("HARDCORE PORN", "sexual"),
        ("ＨＡＲＤＣＯＲＥ　ＰＯＲＮ", "sexual"),
        ("p o r n", "sexual"),
        ("p.o.r.n", "sexual"),
        ("p-o-r-n!", "sexual"),
        ("po\u200brn", "sexual"),
        ("pörn", "sexual"),
        ("рorn", "sexual"),
        ("pornos", "sexual"),
        ("how to make a b o m b", "weapons"),
        ("Make\n a\tBOMB", "weapons"),
        ("build a bomb, quickly", "weapons"),
        ("nude children", "minors"),
        ("制作炸弹", "weapons"),
        ("制 作 炸 弹", "weapons"),
        ("制\u200b作，炸。弹", "weapons"),
        ("请画：淫秽", "sexual"),
        ("儿童色情", "minors"),
        ("在线 赌博网站 推广", "gambling"),
        ("自杀教程", "self_harm"),
    ],
)
def test_a_forbidden_term_is_found(text, category):
    assert RULES.category(text) == category


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "a lighthouse at dusk, slow zoom in", "popcorn and corn", "a bomber jacket", "Scunthorpe", "Essex",
        "analysis of a cocktail", "the grape expert",
        "灯塔，黄昏，缓慢推近", "医生给病人做手术", "🎬" * 50, "\u200b" * 100,
        "a b c d e f g", "make a film about a bombastic speech", "小朋友在公园里放风筝",
    ],
)  # fmt: skip
def test_what_only_looks_like_one_is_left_alone(text):
    assert RULES.category(text) == ""


def test_a_text_of_the_greatest_length_is_read_to_its_end():
    assert RULES.category("a " * 1240 + "porn") == "sexual"


def test_the_version_names_the_exact_lists():
    one, other = Rules([Term("x", "foo")], "v"), words.load(GenerationSettings().word_lists, ("common", "common"))
    assert one.category("FOO")
    assert RULES.version.startswith("words-")
    assert other.version != RULES.version


def test_a_deployers_own_lists_are_taken(tmp_path):
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "en.txt").write_text("# mine\n\nbrand: Filmgate Pro\n")
    rules = words.load(tmp_path, ("house",))
    assert rules.category("I like filmgate-pro") == "brand"
    assert not rules.category("I like films")


@pytest.mark.parametrize("text", ["no colon", "Category: upper", "empty: ", "dots: ...", ": x"])
def test_a_malformed_line_stops_the_start(tmp_path, text):
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "en.txt").write_text(text + "\n")
    with pytest.raises(ValueError, match="category: term"):
        words.load(tmp_path, ("house",))


@pytest.mark.parametrize("name", ["missing", "../common", ""])
def test_a_list_that_is_missing_stops_the_start(name):
    with pytest.raises(ValueError, match="no word list"):
        words.load(GenerationSettings().word_lists, (name,))


def test_both_languages_have_every_category():
    import re

    found = {
        path.name: set(re.findall(r"^([a-z_]+):", path.read_text(encoding="utf-8"), re.M))
        for path in (GenerationSettings().word_lists / "common").glob("*.txt")
    }
    assert found["en.txt"] == found["zh.txt"]

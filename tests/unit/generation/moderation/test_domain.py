"""What the first moderation step finds, however it is dressed up, and what it leaves alone."""

import re
import sys
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from services.generation.config import GenerationSettings
from services.generation.moderation import words
from services.generation.moderation.reading import Reader

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
    other = words.load(GenerationSettings().word_lists, ("common", "common"))
    assert RULES.version.startswith("words-")
    assert other.version != RULES.version


def test_a_deployers_own_lists_are_taken(tmp_path):
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "en.txt").write_text("# mine\n\nbrand: Filmgate Pro\n")
    rules = words.load(tmp_path, ("house",))
    assert rules.category("I like filmgate-pro") == "brand"
    assert not rules.category("I like films")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no colon", "{place}: not `category: term`: 'no colon'"),
        ("Category: upper", "{place}: not `category: term`: 'Category: upper'"),
        ("empty: ", "{place}: not `category: term`: 'empty:'"),
        (
            "dots: ...",
            "{place}: not `category: term` with a term of at least two signs or letters: 'dots: ...'",
        ),
        (
            "x: 性",
            "{place}: not `category: term` with a term of at least two signs or letters: 'x: 性'",
        ),
        (": x", "{place}: not `category: term`: ': x'"),
        ("ordinary: 路口,, 窗口", "{place}: not `ordinary: word, word|, |word`"),
        ("ordinary: 路|口", "{place}: not `ordinary: word, word|, |word`"),
        ("brand: film gate\nordinary: Film-Gate", "'film gate' is a term and an ordinary word"),
    ],
)
def test_a_malformed_line_stops_the_start_with_one_sentence(tmp_path, text, sentence):
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "house.txt").write_text(f"# mine\n{text}\n", encoding="utf-8")
    with pytest.raises(ValueError) as raised:
        words.load(tmp_path, ("house",))
    assert str(raised.value).startswith(sentence.replace("{place}", f"{tmp_path}/house/house.txt, line 2"))
    assert "\n" not in str(raised.value)


def test_a_list_that_is_no_utf8_is_named(tmp_path):
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "house.txt").write_bytes(b"brand: \xff\n")
    with pytest.raises(ValueError, match=f"^{tmp_path}/house/house.txt: 'utf-8' codec"):
        words.load(tmp_path, ("house",))


def test_ordinary_words_excuse_only_what_they_cut(tmp_path):
    (tmp_path / "house").mkdir()
    lines = ["brand: 光影", "brand: star gate", "ordinary: 月光, 影子, 阳光|, 阳光, |gate post, film star, gate keeper"]
    (tmp_path / "house" / "house.txt").write_text("\n".join(lines), encoding="utf-8")
    category = words.load(tmp_path, ("house",)).category
    assert [category(text) for text in ("月光影子", "月光 影子", "阳光影", "月影光影子", "月光影")] == [
        "",
        "",
        "",
        "brand",
        "brand",
    ]
    assert [category(text) for text in ("star gate post", "film star gate keeper")] == ["", ""]
    assert [category(text) for text in ("film star gate", "star gate keeper", "st4r gate post")] == ["brand"] * 3


def test_each_ordinary_word_of_our_list_can_cut_a_term():
    folder = GenerationSettings().word_lists / "common"
    text = "\n".join(file.read_text(encoding="utf-8") for file in folder.glob("*.txt"))
    terms = re.findall(r"^(?!ordinary)[a-z_]+: (.+)$", text, re.M)
    phrases = [part.strip(" |") for line in re.findall(r"^ordinary: (.+)$", text, re.M) for part in line.split(",")]
    assert len(phrases) > 300
    idle = [phrase for phrase in phrases if not any(_cuts(phrase, term) for term in terms)]
    assert not idle


def _cuts(phrase: str, term: str) -> bool:
    """Say whether a phrase holds a term, meets one at its end or beginning, or is a term's word in two pieces."""
    is_met = any(phrase.endswith(term[:n]) or phrase.startswith(term[n:]) for n in range(1, len(term)))
    return is_met or term in phrase or phrase.replace(" ", "") in term.split()


# Characters that each open several ways to read on, and whole terms, words and fillers.
PIECES = [
    "a", "1", "*", "|", "!", " ", "p", "s", "aa", "11", "*1", "p*", ". ", ", ", "\n", "porn", "make a bom", "school ",
    "制", "作", "炸", "性", "口", "交", "自", "x", "の", "啊", "se", "zi", "黄", "路口", "交通", "\u0301", "ﷺ",
    "y i n ", "shi", "po rn ", "囗", "🇵🇴🇷🇳", "🅿", "ᴘ",
]  # fmt: skip


@hypothesis.settings(max_examples=40)
@hypothesis.given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6))
def test_the_work_grows_with_the_length_of_a_text_and_no_faster(pieces):
    text = "".join(pieces)
    once, twice = (_steps((text * 2000)[:size]) for size in (600, 1200))
    assert twice <= 2.3 * once + 2000
    assert once <= 600 * 600


def _steps(text: str) -> int:
    """Count the lines of Python that moderation runs for a text."""
    steps = 0

    def count(frame, event, _):
        nonlocal steps
        steps += event == "line"
        return count if "moderation" in frame.f_code.co_filename else None

    former = sys.gettrace()
    sys.settrace(count)
    try:
        RULES.category(text)
    finally:
        sys.settrace(former)
    return steps


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("the sta rgate", "brand"),
        ("st argate", "brand"),
        ("sta. rgate", ""),
        ("s tar gate", ""),
        ("a satrgate", "brand"),
        ("stragate", "brand"),
        ("tsargate", ""),
        ("stargaet", ""),
        ("opne", ""),
        ("op en", "brand"),
        ("star gate", ""),
        ("光影", "brand"),
        ("影光", ""),
        ("月明星稀", "brand"),
        ("明月稀星", "brand"),
        ("星月明稀", ""),
    ],
)
def test_a_word_is_cut_once_or_two_letters_swapped_but_no_ordinary_words_joined(tmp_path, text, category):
    (tmp_path / "house").mkdir()
    terms = "brand: stargate\nbrand: open\nbrand: 光影\nbrand: 月明星稀\nordinary: star gate\n"
    (tmp_path / "house" / "house.txt").write_text(terms, encoding="utf-8")
    assert words.load(tmp_path, ("house",)).category(text) == category


def test_letters_are_read_as_the_latin_letter_that_they_look_like():
    read = Reader({}).read
    for text in ("ᴀʙᴄ", "ɑвϲ", "ƌøɍ", "ᎠᴏᎡ", "ꓑꓳꓣ", "ᑲᴏᕁ", "ΗΝΟ", "ɥıɾ"):
        assert [unit.text.isascii() for unit in read(text)] == [True], text
    assert [unit.text for unit in read("ᴀʙᴄ ΗΝΟ ηο")] == ["abc", "hno", "no"]
    assert [unit.text for unit in read("🅰🅱 x🇵🇴🇷🇳")] == [*"abxporn"]


def test_a_flag_and_a_japanese_word_are_no_letters_and_signs():
    assert [unit.text for unit in Reader({}).read("制🇨🇳作 ok🇺🇸 スロー プロ交 ロ交")] == [
        "制",
        "作",
        "ok",
        "交",
        "ロ",
        "交",
    ]


def test_each_look_alike_is_read_as_one_letter_or_sign_only():
    folder = Path(words.__file__).parent
    for name in ("look_alikes.txt", "signs.txt"):
        lines = [line for line in (folder / name).read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
        signs = "".join(line.partition(": ")[2].replace(" ", "") for line in lines)
        assert len(lines) > 10
        assert len(signs) == len(set(signs)), name


@pytest.mark.parametrize("name", ["missing", "../common", ""])
def test_a_list_that_is_missing_stops_the_start(name):
    with pytest.raises(ValueError, match="no word list"):
        words.load(GenerationSettings().word_lists, (name,))


def test_both_languages_have_every_category():
    found = {
        path.name: set(re.findall(r"^([a-z_]+):", path.read_text(encoding="utf-8"), re.M))
        for path in (GenerationSettings().word_lists / "common").glob("??.txt")
    }
    assert found["en.txt"] == found["zh.txt"]

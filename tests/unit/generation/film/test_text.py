"""Text as pixels: every promised sign is drawn, lines break where they may."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services.generation.film import fonts
from services.generation.film import text as lettering

BLANK = {" ", "\u00a0", "\u00ad", "\u3000"}
WORDS = some.text(alphabet="海边的灯塔，黄昏。abc deghi!?（）《》", min_size=1, max_size=80)


def test_the_font_draws_every_promised_sign():
    font = lettering.font(24)
    unknown = bytes(font.getmask("\U0010ffff"))
    assert len(fonts.characters()) > 7500
    for character in fonts.characters() - BLANK:
        drawn = bytes(font.getmask(character))
        assert drawn != unknown, f"{character!r} is not in the font"
        assert any(drawn), f"{character!r} has no ink"


def test_different_chinese_signs_look_different():
    drawn = {bytes(lettering.font(24).getmask(sign)) for sign in "海边的灯塔黄昏镜头缓推近橘猫霓虹"}
    assert len(drawn) == 16


def test_the_font_and_its_license_are_small_and_there():
    assert fonts.FILE.stat().st_size < 2_300_000
    assert "SIL OPEN FONT LICENSE" in fonts.FILE.with_name("OFL.txt").read_text()


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("  a \n\t b  ", "a b"),
        ("灯塔🙂海", "灯塔海"),
        ("한글", "〓〓"),
        ("e\u0301te\u0301", "été"),
        ("a\x00b\u202ec", "abc"),
        ("🙂", ""),
        ("", ""),
    ],
)
def test_what_the_font_has_not_is_replaced_or_left_out(given_text, shown):
    assert lettering.drawable(given_text) == shown


def test_words_break_at_spaces_and_between_chinese_signs():
    assert lettering.words("海边 a lighthouse，at") == ["海", "边 ", "a ", "lighthouse，", "at"]


@given(WORDS)
def test_wrapped_lines_fit_and_keep_every_sign(words):
    shown = lettering.drawable(words)
    lines = lettering.balanced(shown, 20, 100.0)
    assert "".join("".join(lines).split()) == "".join(shown.split())
    assert all(lettering.width(line, 20) <= 100 for line in lines)


@given(WORDS)
def test_balancing_never_adds_a_line(words):
    shown = lettering.drawable(words)
    assert len(lettering.balanced(shown, 20, 120.0)) == len(lettering.wrap(shown, 20, 120.0))


def test_punctuation_stays_with_its_word():
    lines = lettering.wrap("海边的灯塔，黄昏。", 20, 105.0)
    assert lines == ["海边的灯", "塔，黄昏。"]

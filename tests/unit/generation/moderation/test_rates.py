"""How often moderation is right: on innocent sentences and on terms in disguise. `make test` prints both rates (F1)."""

import re
from pathlib import Path

from services.generation.config import GenerationSettings
from services.generation.moderation import words
from services.generation.moderation.reading import Reader
from tests.support.rates import Rates

RULES = words.load(GenerationSettings().word_lists, ("common",))
LISTS = GenerationSettings().word_lists / "common"
HERE = Path(__file__).parent


def lines(name: str) -> list[str]:
    """Read the lines of a file of examples, without comments; `\\u200b` and the like become their sign."""
    kept = [line for line in (HERE / name).read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert len(kept) == len(set(kept)), f"{name} has a line twice"
    return [_plain(line) for line in kept]


def _plain(line: str) -> str:
    return (
        re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), line)
        .replace(r"\n", "\n")
        .replace(r"\t", "\t")
    )


def traps(sentences: list[str]) -> list[str]:
    """Return the sentences in which the signs of a term stand side by side without spaces and punctuation."""
    terms = re.findall(
        r"^(?!ordinary)[a-z_]+: (.+)$", "\n".join(file.read_text() for file in LISTS.glob("*.txt")), re.M
    )
    closed = [_closed(term) for term in terms]
    return [sentence for sentence in sentences if any(term in _closed(sentence) for term in closed)]


def _closed(text: str) -> str:
    return "".join(unit.text for unit in Reader({}).read(text))


def test_innocent_sentences_stay_allowed(rates: Rates):
    sentences = lines("innocent.txt")
    refused = [sentence for sentence in sentences if RULES.category(sentence)]
    rates.add(f"innocent: {len(sentences) - len(refused)} of {len(sentences)} allowed")
    assert len(sentences) >= 500
    assert len(traps(sentences)) >= 150
    assert not refused, "\n".join(refused)


def test_evasions_stay_refused(rates: Rates):
    cases = [line.split(" ", 1) for line in lines("evasions.txt")]
    missed = [f"{category} {text!r}" for category, text in cases if RULES.category(text) != category]
    rates.add(f"evasions: {len(cases) - len(missed)} of {len(cases)} refused")
    assert len(cases) >= 60
    assert not missed, "\n".join(missed)


def test_what_was_held_out_and_then_mended_stays_right(rates: Rates):
    cases = [line.split(" ", 1) for line in lines("held_out.txt")]
    wrong = [f"{expected} {text!r}" for expected, text in cases if (RULES.category(text) or "allowed") != expected]
    rates.add(f"mended since: {len(cases) - len(wrong)} of {len(cases)} right")
    assert not wrong, "\n".join(wrong)


def test_how_it_does_at_first_sight_grows_no_worse(rates: Rates):
    """The one rate here that was not made to be 100 percent; the other files were mended with."""
    cases = [line.split(" ", 1) for line in lines("unseen.txt")]
    right = {True: 0, False: 0}
    for expected, text in cases:
        right[expected == "allowed"] += (RULES.category(text) or "allowed") == expected
    innocent = sum(expected == "allowed" for expected, _ in cases)
    refused = f"{right[False]} of {len(cases) - innocent} refused"
    rates.add(f"at first sight: {right[True]} of {innocent} innocent allowed, {refused}")
    assert right[True] >= 35
    assert right[False] >= 20

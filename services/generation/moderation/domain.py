"""Rules of the first moderation step: terms found in a text, however it is dressed up. Pure.

A Latin term is found as whole words, also when its letters stand apart ("b o m b"); a term with Chinese characters is
found as a substring after everything but letters and digits has been removed. Accents, case, width, zero-width
characters and the commonest look-alike letters do not matter. It knows words, not meanings.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Iterable

_LOOK_ALIKES = str.maketrans("аеорсухіјѕԁһіαοερτυ", "aeopcyxijsdhiaoeptu")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_NOT_LATIN = re.compile(r"[^a-z0-9]+")


@dataclasses.dataclass(frozen=True)
class Term:
    """A forbidden word or phrase and its category."""

    category: str
    text: str


class Rules:
    """A compiled set of terms. `version` names its exact content and is stored with every verdict."""

    def __init__(self, terms: Iterable[Term], version: str) -> None:
        self.version = version
        words: dict[str, list[str]] = {}
        self._han: list[tuple[str, str]] = []
        for term in terms:
            if _HAN.search(term.text):
                self._han.append((term.category, compact(term.text)))
            else:
                words.setdefault(term.category, []).append(_pattern(plain(term.text)))
        self._latin = {category: re.compile(rf"\b(?:{'|'.join(found)})\b") for category, found in words.items()}

    def category(self, text: str) -> str:
        """Answer the category of a term that the text contains, empty when it contains none."""
        words = plain(text)
        for category, pattern in self._latin.items():
            if pattern.search(words):
                return category
        closed = compact(text)
        return next((category for category, term in self._han if term in closed), "")


def plain(text: str) -> str:
    """Bring a text to lower-case Latin words with one space between them; everything else becomes a space."""
    return _NOT_LATIN.sub(" ", _folded(text)).strip()


def compact(text: str) -> str:
    """Bring a text to its letters and digits alone."""
    return "".join(letter for letter in _folded(text) if letter.isalnum())


def _folded(text: str) -> str:
    """Without width, case, accents and invisible characters."""
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(
        letter for letter in parts if unicodedata.category(letter) not in ("Mn", "Me", "Cf", "Cc") or letter in "\n\t\r"
    )
    return kept.translate(_LOOK_ALIKES)


def _pattern(term: str) -> str:
    """Each word as it is or letter by letter, with an English plural at the end."""
    words = [f"(?:{word}|{' '.join(word)})" if len(word) > 1 else word for word in term.split(" ")]
    return " ".join(words) + "(?:e?s)?"

"""The one font of Filmgate's pictures, and the characters that it holds (README.md tells where it comes from)."""

from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("film.ttf")
LATIN = ((0x20, 0x7E), (0xA0, 0xFF))
PUNCTUATION = ((0x2010, 0x2016), (0x2018, 0x201A), (0x201C, 0x201E), (0x2020, 0x2022), (0x2025, 0x2027))
PRIMES = ((0x2030, 0x2030), (0x2032, 0x2033), (0x2039, 0x203C))
WIDE = ((0x3000, 0x301F), (0xFF01, 0xFF5E))
RANGES = LATIN + PUNCTUATION + PRIMES + WIDE


@cache
def characters() -> frozenset[str]:
    """Every character that the font can draw: the ranges above and all that GB 2312 can encode."""
    kept = {chr(point) for first, last in RANGES for point in range(first, last + 1)}
    for row in range(0xA1, 0xF8):
        for cell in range(0xA1, 0xFF):
            try:
                kept.add(bytes((row, cell)).decode("gb2312"))
            except UnicodeDecodeError:
                continue
    return frozenset(kept)

"""Makes `film.ttf` from a Noto Sans SC file; run by hand, with fonttools, when the font shall be renewed.

`python -m services.generation.film.fonts.subset NotoSansSC_500Medium.ttf film.ttf` (README.md tells from where).
"""

import sys

from fontTools import subset
from fontTools.ttLib import TTFont

from services.generation.film.fonts import characters


def make(source: str, target: str) -> int:
    """Writes the subset of `source` to `target`, without hints and layout features; returns its number of glyphs."""
    options = subset.Options()
    options.hinting = False
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    options.drop_tables += ["vhea", "vmtx", "VORG", "BASE", "DSIG", "GSUB", "GPOS", "GDEF"]
    font = TTFont(source)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes={ord(character) for character in characters()})
    subsetter.subset(font)
    font.save(target)
    return int(font["maxp"].numGlyphs)


if __name__ == "__main__":
    print(make(sys.argv[1], sys.argv[2]), "glyphs")

"""HTML by functions: what is not markup already is escaped, so that no word of a contract can become one."""

import html
import re
from collections.abc import Iterable, Mapping


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *inner: str, attributes: Mapping[str, str] | None = None) -> Markup:
    """Return an element with its inner parts."""
    given = "".join(f' {key}="{html.escape(value)}"' for key, value in (attributes or {}).items())
    return Markup(f"<{name}{given}>{join(inner)}</{name}>")


def join(parts: Iterable[str]) -> Markup:
    """Return the parts one after another."""
    return Markup("".join(part if isinstance(part, Markup) else html.escape(part, quote=False) for part in parts))


def link(target: str, words: str) -> Markup:
    """Return a link within the page or to a path of our own."""
    return tag("a", words, attributes={"href": target})


def code(text: str) -> Markup:
    """Return a name or a piece of a program."""
    return tag("code", text)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Markup:
    """Return a table; nothing when it would have no row."""
    lines = [tag("tr", *(tag("td", cell) for cell in row)) for row in rows]
    if not lines:
        return Markup("")
    head = tag("thead", tag("tr", *(tag("th", head, attributes={"scope": "col"}) for head in heads)))
    return tag("div", tag("table", head, tag("tbody", *lines)), attributes={"class": "scroll"})


def prose(text: str) -> Markup:
    """Return the HTML of a comment: paragraphs, lists by `- `, `names`, **strong**."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        items = re.split(r"(?:^|\n)- ", block)
        if items[0].strip():
            blocks.append(tag("p", _inline(items[0].strip())))
        if items[1:]:
            blocks.append(tag("ul", *(tag("li", _inline(" ".join(item.split()))) for item in items[1:])))
    return join(blocks)


def _inline(text: str) -> Markup:
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", text)
    return join(
        code(part[1:-1]) if part[:1] == "`" else tag("strong", part[2:-2]) if part[:2] == "**" else part
        for part in parts
    )

"""Templates of messages and how they are filled in."""

import dataclasses
import functools
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from services.runtime.errors import FIELD_INVALID

MAX_PARAMETER_LENGTH = 200
_FILE = Path(__file__).with_name("templates.yaml")


@dataclasses.dataclass(frozen=True)
class Text:
    """A message as it is read."""

    subject: str
    text: str


@functools.cache
def templates() -> Mapping[str, Mapping[str, Text]]:
    """Read the templates: name, then language."""
    raw: dict[str, dict[str, Any]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return {
        name: {locale: Text(words["subject"], words["text"].strip()) for locale, words in languages.items()}
        for name, languages in raw.items()
    }


@functools.cache
def parameters_of(template: str) -> frozenset[str]:
    """Return the parameters that a template needs. Raises FIELD_INVALID when there is no such template."""
    languages = templates().get(template)
    if languages is None:
        raise FIELD_INVALID(field="template", limit="name a template")
    words = "".join(text.subject + text.text for text in languages.values())
    return frozenset(name for _, name, _, _ in string.Formatter().parse(words) if name)


def check(template: str, parameters: Mapping[str, str]) -> None:
    """Raise FIELD_INVALID unless the template exists and has exactly these parameters, each short and on one line."""
    if parameters_of(template) != parameters.keys():
        names = ", ".join(sorted(parameters_of(template))) or "none"
        raise FIELD_INVALID(field="parameters", limit=f"be exactly these: {names}")
    for value in parameters.values():
        if len(value) > MAX_PARAMETER_LENGTH or not value.isprintable():
            raise FIELD_INVALID(
                field="parameters", limit=f"be printable and at most {MAX_PARAMETER_LENGTH} characters each"
            )


def render(template: str, locale: str, parameters: Mapping[str, str]) -> Text:
    """Fill in a template. Braces in a value stay what they are: values are never parsed."""
    text = templates()[template][locale]
    return Text(text.subject.format_map(dict(parameters)), text.text.format_map(dict(parameters)))

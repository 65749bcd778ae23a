"""Templates and how they are filled in."""

import re

import pytest

from services.auth.notices import domain
from services.runtime.errors import Failure
from tests.support.source import sources


@pytest.mark.parametrize("name", sorted(domain.templates()))
def test_a_template_has_both_languages_with_the_same_parameters(name):
    languages = domain.templates()[name]
    assert set(languages) == {"zh", "en"}
    values = dict.fromkeys(domain.parameters_of(name), "VALUE")
    for locale in languages:
        text = domain.render(name, locale, values)
        assert text.subject
        assert text.text.count("VALUE") == len(values)
        assert "{" not in text.subject + text.text


@pytest.mark.parametrize("name", sorted(domain.templates()))
def test_the_product_sends_each_template(name):
    code = "".join(source.text for source in sources() if source.path.startswith("services/"))
    assert re.search(rf'"{name}"', code), f"nothing sends {name}"


def test_values_are_never_parsed():
    values = {"scope": "{reason} {0.__class__}"}
    assert "{reason} {0.__class__}" in domain.render("account_unfrozen", "en", values).text


@pytest.mark.parametrize(
    ("template", "parameters"),
    [
        ("nothing", {}),
        ("account_unfrozen", {}),
        ("account_unfrozen", {"scope": "ALL", "more": "x"}),
        ("account_unfrozen", {"scope": "x" * 201}),
        ("account_unfrozen", {"scope": "two\nlines"}),
    ],
)
def test_what_does_not_fit_is_refused(template, parameters):
    with pytest.raises(Failure) as refusal:
        domain.check(template, parameters)
    assert refusal.value.kind.reason == "FIELD_INVALID"

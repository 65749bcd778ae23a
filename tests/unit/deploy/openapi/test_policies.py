"""The scopes of the methods, read from source."""

from pathlib import Path

import pytest

from deploy.openapi.policies import scopes


def written(folder: Path, text: str) -> Path:
    file = folder / "toys" / "boxes" / "api.py"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return folder


def test_only_what_customers_call_has_a_scope(tmp_path):
    table = 'ACCESS = {"Get": CALLER("toys.read"), "Count": PUBLIC, "Move": SERVICE("edge"), "Burn": STAFF("operator")}'
    assert scopes(written(tmp_path, f"import nothing\n{table}\n")) == {"filmgate.toys.v1.Boxes.Get": "toys.read"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ACCESS = dict(Get=PUBLIC)", "is no table"),
        ('ACCESS = {NAME: CALLER("toys.read")}', "not written out"),
        ("ACCESS = {**OTHERS}", "not written out"),
    ],
)
def test_a_table_that_cannot_be_read_is_said_so(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        scopes(written(tmp_path, text))

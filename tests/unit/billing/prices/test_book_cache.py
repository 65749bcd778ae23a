"""A price book that is not as it must be is named in one sentence before anything is published (review A7)."""

import pytest
import yaml

from services.billing.prices import book_cache
from services.runtime.config import StartFault

GOOD = book_cache.contents()[0]


@pytest.mark.parametrize(
    "text",
    [
        "rates: [",
        "",
        "- 1",
        yaml.safe_dump({**GOOD, "discount": 5}),
        yaml.safe_dump({**GOOD, "effective_time": "soon"}),
        yaml.safe_dump({**GOOD, "effective_time": 7}),
        yaml.safe_dump({**GOOD, "rates": "free"}),
        yaml.safe_dump({**GOOD, "outcomes": None}),
        yaml.safe_dump({**GOOD, "version": "one"}),
        b"\xff",
    ],
)
def test_a_bad_book_is_named(tmp_path, text):
    (tmp_path / "0001.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StartFault, match=r"price book 0001\.yaml cannot be used: ."):
        book_cache.contents(tmp_path)


def test_a_good_book_is_read(tmp_path):
    (tmp_path / "0001.yaml").write_text(yaml.safe_dump(GOOD))
    assert book_cache.contents(tmp_path) == [GOOD]

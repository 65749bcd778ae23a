"""The page: everything that the document has, readable without its script, and nothing of a contract becomes markup."""

import html
import json
import re
from pathlib import Path

from deploy.openapi.markup import code, prose, tag
from deploy.openapi.page import page
from tests.support.cases import each

ROOT = Path(__file__).resolve().parents[4]
WHOLE = json.loads((ROOT / "gen" / "openapi.json").read_text())
PAGE = (ROOT / "gen" / "docs" / "index.html").read_text()
TEXT = html.unescape(re.sub(r"<[^>]*>", " ", PAGE))


def test_it_is_made_of_the_document():
    assert page(WHOLE) == PAGE


@each("path", WHOLE["paths"])
def test_every_operation_is_on_it(path):
    for verb, operation in WHOLE["paths"][path].items():
        assert f'id="{operation["operationId"]}"' in PAGE
        section = PAGE[PAGE.index(f'id="{operation["operationId"]}"') :].split("</section>")[0]
        assert verb.upper() in section
        assert html.escape(path, quote=False) in section
        for answer in operation["responses"].values():
            for row in answer.get("x-filmgate-reasons", []):
                assert f"<code>{row['reason']}</code>" in section


def test_every_link_within_it_leads_somewhere():
    targets = set(re.findall(r'id="([^"]*)"', PAGE))
    links = set(re.findall(r'href="#([^"]*)"', PAGE))
    assert links <= targets
    assert len(re.findall(r'id="([^"]*)"', PAGE)) == len(targets)


def test_every_reason_and_element_is_explained_on_it():
    for row in WHOLE["x-filmgate-reasons"]:
        assert row["reason"] in TEXT
    for name, row in WHOLE["x-filmgate-elements"].items():
        assert f'id="element-{name}"' in PAGE
        assert row["retention"] in TEXT


def test_words_never_become_markup():
    assert tag("p", "<script>alert(1)</script> & more") == "<p>&lt;script&gt;alert(1)&lt;/script&gt; &amp; more</p>"
    assert tag("a", "x", attributes={"href": '"><script>'}) == '<a href="&quot;&gt;&lt;script&gt;">x</a>'
    assert prose("a `b<i>` **c&**") == "<p>a <code>b&lt;i&gt;</code> <strong>c&amp;</strong></p>"
    assert prose("one\n\n- two\n- three") == "<p>one</p><ul><li>two</li><li>three</li></ul>"
    assert code("<b>") == "<code>&lt;b&gt;</code>"

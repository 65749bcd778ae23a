"""The AIGC label: fields, order and code points of GB 45438-2025, Annex E."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services.generation.labels import aigc
from services.generation.labels.aigc import AigcInvalid
from tests.support.films import PROVIDER

ORDER = [
    "Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2",
]  # fmt: skip


def test_new_content_is_labeled_as_the_standard_says():
    told = json.loads(aigc.generated(PROVIDER, "sha256:ab").to_text())
    assert list(told) == ORDER
    assert told["Label"] == "1"
    assert told["ContentProducer"] == told["ContentPropagator"] == PROVIDER
    assert told["ProduceID"] == told["PropagateID"]
    assert (told["ReservedCode1"], told["ReservedCode2"]) == ("sha256:ab", "")
    assert all(isinstance(value, str) for value in told.values())


def test_each_content_gets_a_random_number_of_128_bits():
    numbers = {aigc.generated(PROVIDER).produce_id for _ in range(1000)}
    assert len(numbers) == 1000
    assert all(len(bytes.fromhex(number)) == 16 for number in numbers)


@pytest.mark.parametrize(
    "code",
    ["", "Filmgate", PROVIDER[:-1], PROVIDER + "0", PROVIDER[:-5] + "2F001", PROVIDER.lower(), " " + PROVIDER[1:]],
)
def test_a_code_that_is_no_generating_providers_is_refused(code):
    with pytest.raises(AigcInvalid):
        aigc.generated(code)


@pytest.mark.parametrize("value", ["a b", 'a"b', "a\\b", "公司", "a\n", "é", "\x7f", "x" * 1025])
def test_what_annex_e_does_not_allow_is_refused(value):
    with pytest.raises(AigcInvalid, match="ReservedCode1"):
        aigc.generated(PROVIDER, value)


@given(some.text(alphabet=[chr(point) for point in range(0x21, 0x7F) if point not in (0x22, 0x5C)], max_size=200))
def test_every_allowed_text_comes_back(value):
    label = aigc.generated(PROVIDER, value)
    assert aigc.of_text(label.to_text()) == label
    assert aigc.of_text(json.dumps({"AIGC": json.loads(label.to_text())})) == label


def _changed(**changes):
    told = json.loads(aigc.generated(PROVIDER).to_text())
    told.update(changes)
    return json.dumps({name: value for name, value in told.items() if value is not None})


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", "null", "1", '"AIGC"', "[" * 5000, "{" * 5000,
        _changed(Label="4"), _changed(Label=1), _changed(ProduceID=None), _changed(Extra="x"),
        _changed(ProduceID=["a"]),
        json.dumps(dict(reversed(json.loads(_changed()).items()))),
        _changed().replace('"Label"', '"Label": "2", "Label"', 1),
        json.dumps(_changed()), _changed() + " " * 9000, _changed(ReservedCode2="a b"),
    ],
)  # fmt: skip
def test_what_is_no_valid_label_is_refused(text):
    with pytest.raises(AigcInvalid):
        aigc.of_text(text)


@given(some.text(max_size=300))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(AigcInvalid):
        aigc.of_text(text)

"""Our path gives what diffusers' own gives: the same pictures, decoded in parts."""

import pytest

KINDS = ["t2v", "t2v-plain", "t2v-experts", "i2v", "i2v-experts", "ti2v"]
NOTICEABLE = 1 / 512
"""Half a level of 8 bits."""


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_what_the_autoencoder_decodes_as_a_whole(compared, kind):
    found = compared[kind]
    assert found["chunks"] == [1, 4, 4]
    assert found["from_decode"] <= 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_the_film_is_the_stock_pipelines(compared, kind):
    found = compared[kind]
    assert found["frames"] == [9, 8, 9]
    assert found["spread"] > 0.01, "there is something to see"
    assert found["from_stock"] <= NOTICEABLE
    assert found["told"] == [0.25, 0.5, 0.75, 1.0]


def test_the_parts_that_wait_are_few_and_a_fault_arrives(compared):
    """The thread that decodes is never more than the line ahead, and ends with whoever reads."""
    assert compared["ahead"]["most"] <= 4
    assert compared["ahead"]["fault"] == "ValueError"
    assert compared["ahead"]["threads_left"] == 0

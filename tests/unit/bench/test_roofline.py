"""The arithmetic of bench.gpu: operations of one forward, against the figures that torch's counter gave."""

import pytest

from bench.gpu.roofline import PETA, TextEncoder, Transformer, share, tokens

SMALL = Transformer(1536, 8960, 30)
FIVE = Transformer(3072, 14336, 30)
LARGE = Transformer(5120, 13824, 40)


@pytest.mark.parametrize(
    ("model", "clip", "count", "petaflop"),
    [
        (SMALL, (81, 832, 480, 8), 32_760, 0.283),
        (FIVE, (121, 1280, 704, 16), 27_280, 0.517),
        (LARGE, (81, 832, 480, 8), 32_760, 1.678),
        (LARGE, (81, 1280, 720, 8), 75_600, 6.523),
    ],
)
def test_a_forward_takes_what_the_counter_counted(model, clip, count, petaflop):
    assert tokens(*clip) == count
    assert model.forward(count) / PETA == pytest.approx(petaflop, abs=0.0005)


def test_the_text_encoder_too():
    assert TextEncoder(4096, 4096, 10240, 24).forward() / PETA == pytest.approx(0.0048, abs=0.00005)


def test_the_roofline_is_a_share_of_one():
    step = 2 * SMALL.forward(32_760)
    assert share(step, 0.716, 790) == pytest.approx(1, abs=0.001)
    assert share(step, 1.79, 790) == pytest.approx(0.4, abs=0.001)

"""Camera paths: inside the picture, in the ratio of the output, smooth."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services.generation.film.camera import Control, chosen, of_prompt, path

AXIS = some.floats(-10, 10)
CONTROLS = some.builds(Control, horizontal=AXIS, vertical=AXIS, zoom=AXIS)
SIDE = some.integers(16, 6000)
OUTPUTS = some.sampled_from([(1280, 720), (720, 1280), (720, 720), (854, 480), (1920, 1080)])


@given(CONTROLS, SIDE, SIDE, OUTPUTS, some.integers(1, 40))
def test_no_box_looks_out_of_the_picture(control, width, height, output, frames):
    boxes = path(control, (width, height), output, frames)
    assert len(boxes) == frames
    for box in boxes:
        assert 0 <= box.left < box.right <= width
        assert 0 <= box.top < box.bottom <= height
        ratio = (box.right - box.left) / (box.bottom - box.top)
        assert ratio == pytest.approx(output[0] / output[1], rel=1e-6)


@given(CONTROLS, OUTPUTS)
def test_the_camera_starts_and_ends_gently_and_never_jerks(control, output):
    boxes = path(control, (1600, 1200), output, 121)
    middles = [((box.left + box.right) / 2, (box.top + box.bottom) / 2, box.right - box.left) for box in boxes]
    for axis in range(3):
        steps = [after[axis] - before[axis] for before, after in itertools.pairwise(middles)]
        assert all(step >= -1e-6 for step in steps) or all(step <= 1e-6 for step in steps), "it never turns back"
        jumps = [abs(after - before) for before, after in itertools.pairwise(steps)]
        assert max(jumps) < 0.25, "its speed changes by less than a quarter pixel from frame to frame"
        assert abs(steps[0]) <= 0.2
        assert abs(steps[-1]) <= 0.2


@pytest.mark.parametrize(
    ("control", "axis", "sign"),
    [
        (Control(horizontal=5), 0, 1),
        (Control(horizontal=-5), 0, -1),
        (Control(vertical=5), 1, -1),
        (Control(vertical=-5), 1, 1),
        (Control(zoom=5), 2, -1),
        (Control(zoom=-5), 2, 1),
    ],
)
def test_positive_is_right_up_and_in(control, axis, sign):
    first, *_, last = path(control, (1600, 900), (1280, 720), 50)
    moved = (
        (last.left + last.right - first.left - first.right) / 2,
        (last.top + last.bottom - first.top - first.bottom) / 2,
        (last.right - last.left) - (first.right - first.left),
    )
    assert moved[axis] * sign > 50
    assert all(abs(moved[other]) < 1e-6 for other in {0, 1, 2} - {axis})


@pytest.mark.parametrize(
    ("prompt", "control"),
    [
        ("a lighthouse at dusk, slow zoom in", Control(zoom=3)),
        ("Pull back fast from the house", Control(zoom=-8)),
        ("PAN LEFT across the bay", Control(horizontal=-5)),
        ("pan right and tilt up", Control(horizontal=5, vertical=5)),
        ("镜头缓缓推近灯塔", Control(zoom=3)),
        ("镜头向左移动", Control(horizontal=-5)),
        ("画面快速拉远", Control(zoom=-8)),
        ("zoom in, then zoom out", Control()),
        ("a panther in a zoo", Control()),
        ("", Control()),
    ],
)
def test_the_prompt_names_moves(prompt, control):
    assert of_prompt(prompt) == control


def test_what_was_asked_for_comes_before_the_prompt_and_the_seed():
    asked = Control(vertical=-2)
    assert chosen(asked, "zoom in", 7) == asked
    assert chosen(Control(), "zoom in", 7) == Control(zoom=5)
    assert chosen(Control(), "a cat", 7) == chosen(Control(), "a cat", 7)
    assert not chosen(Control(), "a cat", 7).still
    assert len({chosen(Control(), "a cat", seed) for seed in range(30)}) > 5

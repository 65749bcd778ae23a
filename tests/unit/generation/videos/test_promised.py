"""Promises about orders: what is enough for one."""

import pytest


@pytest.mark.promise("AICC-1.3b", "NEXA-1.1.3b")
@pytest.mark.parametrize("prompt", ["", "slow zoom in", "慢慢靠近"])
async def test_a_picture_is_ordered_with_a_text_or_without(house, prompt):
    image = await house.picture()
    chosen = (await house.create(image=image, prompt=prompt)).parameters
    assert (chosen.image, chosen.prompt) == (image, prompt)

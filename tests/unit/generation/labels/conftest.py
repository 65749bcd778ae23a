"""One finished film for all tests of this folder."""

import pytest

from services.generation.labels import aigc, mark
from tests.support.films import PROVIDER, copies, film, noise


@pytest.fixture(scope="session")
def fragmented(tmp_path_factory):
    """A fragmented file as a model makes it: 3 s of 640 by 360 with the label."""
    path = tmp_path_factory.mktemp("film") / "fragmented.mp4"
    path.write_bytes(film(copies(noise(640, 360), 72), 72))
    return path


@pytest.fixture(scope="session")
def label():
    """What is written into `published`."""
    return aigc.generated(PROVIDER)


@pytest.fixture(scope="session")
def published(fragmented, label):
    """The same as it is published."""
    path = fragmented.with_name("published.mp4")
    mark.mark(fragmented, path, label)
    return path

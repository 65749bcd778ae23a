"""How long models worked and stood idle, by the clock that the test moves; and the stages of a video."""

import contextlib

import pytest

from services.generation.worker.usage import Stages, Usage
from services.runtime import metrics
from tests.support.figures import figure


class Steady:
    """A clock of seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Steady:
    return Steady()


@pytest.fixture
def usage(clock: Steady, monkeypatch: pytest.MonkeyPatch) -> Usage:
    monkeypatch.setattr(metrics, "_watched", dict(metrics._watched))
    made = Usage(clock)
    made.watch()
    return made


def seconds(what: str, model: str = "toy") -> float:
    return figure(f"filmgate_model_{what}_seconds_total", {"model": model})


def test_time_is_busy_or_idle_per_loaded_instance(usage: Usage, clock: Steady) -> None:
    clock.now = 5
    usage.loaded("toy", 2)
    assert (seconds("busy"), seconds("idle")) == (0, 0), "it was not loaded before"
    clock.now = 6
    with usage.busy("toy"):
        clock.now = 8
        assert (seconds("busy"), seconds("idle")) == (2, 4), "a run is counted while it runs"
        with usage.busy("toy"):
            clock.now = 9
    clock.now = 10
    assert (seconds("busy"), seconds("idle")) == (4, 6)
    assert figure("filmgate_model_slots", {"model": "toy"}) == 2


def test_a_model_that_is_gone_is_neither(usage: Usage, clock: Steady) -> None:
    usage.loaded("toy", 1)
    usage.loaded("other", 1)
    clock.now = 1
    usage.loaded("toy", 0)
    clock.now = 9
    assert (seconds("busy"), seconds("idle"), seconds("idle", "other")) == (0, 1, 9)
    assert figure("filmgate_model_slots", {"model": "toy"}) == 0


def test_a_run_that_fails_ends(usage: Usage, clock: Steady) -> None:
    usage.loaded("toy", 1)
    with contextlib.suppress(ValueError), usage.busy("toy"):
        clock.now = 1
        raise ValueError
    clock.now = 3
    assert (seconds("busy"), seconds("idle")) == (1, 2)


def test_each_stage_is_measured_once_the_last_one_too() -> None:
    def counted() -> list[float]:
        name = "filmgate_video_stage_seconds_count"
        return [figure(name, {"model": "toy", "stage": stage}) for stage in ("GENERATING", "LABELING")]

    before = counted()
    with Stages("toy") as stages:
        for stage in ("GENERATING", "GENERATING", "LABELING"):
            stages.enter(stage)
        assert counted() == [before[0] + 1, before[1]]
    assert counted() == [before[0] + 1, before[1] + 1]

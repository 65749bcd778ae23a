"""The rate of an account."""

from services.auth.check import limits
from services.auth.check.limits import Limits
from tests.support.auth import Steady


def test_an_account_has_its_minute_at_once_and_then_its_rate():
    steady = Steady()
    bucket = Limits(60, steady)
    assert [bucket.take("acc") for _ in range(60)] == [0.0] * 60
    assert bucket.take("acc") == 1.0
    assert bucket.take("other") == 0.0
    steady.now += 0.5
    assert bucket.take("acc") == 0.5
    steady.now += 0.5
    assert bucket.take("acc") == 0.0
    assert bucket.take("acc") == 1.0
    steady.now += 3600
    assert [bucket.take("acc") for _ in range(60)] == [0.0] * 60
    assert bucket.take("acc") > 0


def test_nobody_fills_the_memory(monkeypatch):
    monkeypatch.setattr(limits, "MAX_BUCKETS", 10)
    bucket = Limits(1, Steady())
    for number in range(100):
        bucket.take(str(number))
    assert len(bucket._buckets) == 10


def test_a_limit_of_nothing_lets_nobody_pass():
    assert Limits(0, Steady()).take("acc") > 0

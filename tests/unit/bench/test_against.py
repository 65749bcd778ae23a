"""Two commits against each other: what pairs say, and that each side is called by its own names."""

import pytest

from bench.against import names, verdict
from bench.against.verdict import Seen
from deploy.local.config import ROOT

GEN = ROOT / "gen"


def seen(*costs: float, rate: float = 0.0) -> list[Seen]:
    return [Seen(cost, rate) for cost in costs]


def test_sides_change_places_from_pair_to_pair():
    order = verdict.turns(6)
    assert order[:4] == [("before", "after"), ("after", "before")] * 2
    assert len(order) == 6
    firsts = [first for first, _ in order]
    assert firsts.count("before") == firsts.count("after") == 3


def test_the_ratio_is_the_median_of_pairs_and_below_one_is_dearer():
    found = verdict.cpu(seen(1.0, 1.0, 1.0, 1.0), seen(2.0, 1.25, 1.25, 1.0))
    assert found.median == pytest.approx(0.8)
    assert (found.low, found.high) == pytest.approx((0.725, 0.85))


def test_a_pair_is_compared_with_its_own_partner():
    """The machine was twice as slow in the second pair: the sides are equal all the same."""
    found = verdict.cpu(seen(1.0, 2.0, 1.0), seen(1.0, 2.0, 1.0))
    assert (found.low, found.median, found.high) == (1.0, 1.0, 1.0)


def test_one_pair_judges_nothing():
    with pytest.raises(ValueError, match="two pairs"):
        verdict.cpu(seen(1.0), seen(1.0))


def test_pairs_must_be_whole():
    with pytest.raises(ValueError, match="zip"):
        verdict.cpu(seen(1.0, 1.0), seen(1.0))


def test_a_case_is_dearer_below_the_bound_and_not_at_it():
    before = {"at": seen(0.95, 0.95), "below": seen(0.94, 0.94), "cheaper": seen(2.0, 2.0)}
    after = {case: seen(1.0, 1.0) for case in before}
    assert verdict.dearer(before, after) == ["below"]
    told = {line.split()[0]: line for line in verdict.table(before, after)}
    assert "DEARER" in told["below"]
    assert " ok" in told["at"]
    assert "0.950" in told["at"]


def test_a_rate_is_judged_only_where_its_quartiles_lie_close():
    """A rate of 110 after 100 is told as 1.1; 80 to 120 around 100 is not told as a number."""
    steady = verdict.rate([Seen(1, 100)] * 4, [Seen(1, 110)] * 4)
    assert steady is not None
    assert steady.steady
    wild = verdict.rate([Seen(1, 100)] * 4, [Seen(1, rate) for rate in (80, 95, 110, 120)])
    assert wild is not None
    assert not wild.steady
    lines = verdict.table({"a": [Seen(1, 100)] * 4}, {"a": [Seen(1, rate) for rate in (80, 95, 110, 120)]})
    assert "not judged" in lines[1]
    assert verdict.rate(seen(1.0, 1.0), seen(1.0, 1.0)) is None


@pytest.mark.parametrize("name", ["hold", "capture", "prices"])
def test_this_commit_is_in_the_table(name):
    method = names.Names(GEN).method(name)
    assert method.path.startswith("/filmgate.billing.v1.")


def test_this_commits_paths_and_suite_are_in_the_table():
    table = names.Names(GEN)
    assert table.path("content", id="vid_1") == "/v1/videos/vid_1/content"
    assert [table.path(name, id="x") for name in ("video", "videos", "wallet", "file")]
    assert names.modules(ROOT)[0] == "deploy.local.suite"


def test_a_side_takes_the_newest_form_that_it_knows():
    newest = {"method": "filmgate.billing.v1.Wallets/NotYet", "body": {}}
    renamed_field = {"method": "filmgate.billing.v1.Wallets/Capture", "body": {"not_yet": "{task}"}}
    known = {"method": "filmgate.billing.v1.Wallets/Capture", "body": {"video": "{task}", "outcome": "SUCCEEDED"}}
    table = {"capture": [newest, renamed_field, known], "http": {"video": ["/v2/films/{id}", "/v1/videos/{id}"]}}
    side = names.Names(GEN, table)
    assert side.method("capture").fill(task="vid_1").video == "vid_1"
    assert side.path("video", id="vid_1") == "/v1/videos/vid_1"


def test_a_commit_that_no_form_fits_is_told_and_not_guessed():
    side = names.Names(GEN, {"capture": [{"method": "a.B/C", "body": {}}], "http": {"video": ["/v2/films/{id}"]}})
    with pytest.raises(names.Unknown, match="capture"):
        side.method("capture")
    with pytest.raises(names.Unknown, match="video"):
        side.path("video", id="x")


def test_a_gap_that_is_left_open_is_a_fault():
    with pytest.raises(KeyError):
        names.Names(GEN).method("capture").fill()


def test_an_answer_is_read_at_its_place():
    prices = names.Names(GEN).method("prices")
    answer = prices.answer()
    answer.price_books.add(version=7)
    assert prices.read(answer) == 7

"""The arithmetic of the benchmark, and that its result is whole."""

import json
import stat

import pytest

from bench import __main__ as bench
from bench import figures, load

WHOLE = dict.fromkeys(figures.REQUIRED, 1.0)


def test_a_percentile_is_a_value_that_was_seen():
    values = [float(number) for number in range(1, 101)]
    assert figures.percentile(values, 50) == 50
    assert figures.percentile(reversed(values), 99) == 99
    assert figures.percentile([7.0], 99) == 7
    with pytest.raises(ValueError, match="no values"):
        figures.percentile([], 50)


def test_a_median_is_over_the_rounds_that_have_it():
    assert figures.medians([{"a": 1, "b": 4}, {"a": 9}, {"a": 2}]) == {"a": 2, "b": 4}


def test_cpu_is_told_per_request_and_by_process():
    found = figures.per_request({"auth": 0.2, "envoy": 0.1, "media": 0.0}, 100, "poll")
    assert found == pytest.approx({"poll_cpu_ms": 3.0, "poll_cpu_auth_ms": 2.0, "poll_cpu_envoy_ms": 1.0})


def test_idling_is_what_is_left_between_the_first_end_and_the_last():
    assert figures.idle_share([10.0, 12.0, 14.0], [5.0, 1.5, 1.5]) == pytest.approx(0.25)
    assert figures.idle_share([10.0, 12.0], [1.0, 2.5]) == 0
    with pytest.raises(ValueError, match="two runs"):
        figures.idle_share([1.0], [1.0])


def test_an_aim_is_a_number_or_a_share_of_another_figure():
    poll = next(aim for aim in figures.AIMS if aim.key == "poll_rps")
    assert poll.wanted({"floor_rps": 1000.0}) == 750
    assert poll.reached({"floor_rps": 1000.0, "poll_rps": 750.0})
    assert not poll.reached({"floor_rps": 1000.0, "poll_rps": 749.0})
    rest = next(aim for aim in figures.AIMS if aim.key == "rest_mib")
    assert rest.reached({"rest_mib": 1000.0})
    assert not rest.reached({"rest_mib": 1001.0})


def test_the_table_says_what_was_reached():
    lines = figures.table(WHOLE | {"floor_rps": 100.0, "poll_rps": 80.0, "rest_mib": 2000.0, "ready_s": 9.5})
    told = {line.split("  ")[0]: line for line in lines}
    assert "yes" in told["Status poll, 16 connections"]
    assert "NO" in told["Memory at rest (PSS)"]
    assert "yes" in told["Warm make up to ready"]


def test_each_aim_has_a_figure_of_its_own():
    keys = [aim.key for aim in figures.AIMS]
    assert len(keys) == len(set(keys))
    assert set(figures.REQUIRED) <= {*keys, "poll_p99_ms"}


def test_a_split_is_told_largest_first():
    found = {"poll_cpu_ms": 3.0, "poll_cpu_auth_ms": 1.0, "poll_cpu_envoy_ms": 2.0, "submit_cpu_auth_ms": 9.0}
    assert figures.split(found, "poll_cpu", "ms") == "envoy 2.00, auth 1.00"


def test_the_file_has_every_key_flat(tmp_path):
    path = tmp_path / "bench.json"
    bench.write({**WHOLE, "machine": "two cores"}, path)
    written = json.loads(path.read_text())
    assert set(figures.REQUIRED) <= set(written)
    assert not [value for value in written.values() if isinstance(value, dict | list)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("gap", figures.REQUIRED)
def test_a_figure_that_is_missing_or_no_number_is_refused(tmp_path, gap):
    for wrong in ({key: value for key, value in WHOLE.items() if key != gap}, WHOLE | {gap: "many"}):
        with pytest.raises(ValueError, match=gap):
            bench.write(wrong, tmp_path / "bench.json")
    assert not (tmp_path / "bench.json").exists()


FOUND = 'FOUND {"requests": 300, "microseconds": 2000000, "p50": 1500.0, "p99": 9000.0, "refused": 0, "broken": 0}'


def test_what_wrk_says_is_read():
    found = load.read(f"Running 2s test\n{FOUND}\n")
    assert (found.rps, found.p50_ms, found.p99_ms) == (150, 1.5, 9)


@pytest.mark.parametrize(
    "said",
    ["", "no such file", FOUND.replace('"refused": 0', '"refused": 1'), FOUND.replace('"broken": 0', '"broken": 2')],
)
def test_a_load_with_refusals_says_nothing(said):
    with pytest.raises(load.Failed):
        load.read(said)

"""The bench of a GPU, run whole on the CPU with a tiny model; its arithmetic against torch's own counter."""

import json

import pytest

from tests.wan.programs import program


def test_the_bench_tells_seconds_and_shares_of_both_paths(tmp_path):
    file = tmp_path / "gpu.json"
    printed = program("bench.gpu", "--device", "cpu", "--model", "tiny", "--steps", "2", "--json", str(file))
    [found] = json.loads(file.read_text())
    assert (found["model"], found["device"], found["steps"], found["dtype"]) == ("tiny", "cpu", 2, "float32")
    for path in ("ours", "stock"):
        assert set(found["seconds"][path]) == {"text", "step", "decode", "encode", "film", "whole"}
        assert all(seconds > 0 for seconds in found["seconds"][path].values())
        for stage, flop in found["petaflop"].items():
            expected = flop * 1e15 / (found["seconds"][path][stage] * 790e12)
            assert found["share"][path][stage] == pytest.approx(expected)
    assert "tiny on cpu: 128x128, 9 frames, 2 steps" in printed
    assert "BELOW" in printed, "a CPU is no H200"


def test_the_autoencoders_operations_are_those_that_are_known():
    counted = json.loads(program("tests.wan.count"))
    assert counted["wan2.1-t2v-1.3b"] == pytest.approx(0.275, abs=0.0005)
    assert counted["wan2.2-t2v-a14b"] == pytest.approx(0.639, abs=0.0005)
    assert counted["wan2.2-ti2v-5b"] == pytest.approx(2.011, abs=0.0005)

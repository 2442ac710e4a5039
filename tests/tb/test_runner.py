"""cocotb through the runner: a right design passes, each wrong one is caught in words, seeds come back."""

import re

import pytest

from tb.runner import CocotbFailure, run_cocotb

from .designs import Adder

pytestmark = pytest.mark.sim


def run(tests, folder, **options):
    return run_cocotb(Adder(), module="tests.tb.adder_bench", name="adder", tests=tests, folder=folder, **options)


def test_right(tmp_path, seed):
    done = run(r"\.right", tmp_path, seed=seed)
    assert len(done.tests) == 8
    assert done.seed == seed
    assert done.waves is None


@pytest.mark.parametrize(
    "fault, sink, message",
    [
        ("DROP", {}, r"adder: item \d+ differs\n.*  and 42 more fields\n  it is the item expected \d+ later: \d+ lost"),
        ("UNSTABLE", {}, r"payload of 'o' must stay until ready, not change from 0x[0-9a-f]+ to 0x"),
        ("WITHDRAWN", {}, "valid of 'o' must stay until ready"),
        ("SHY", {"probe": 0.5}, "valid of 'o' must not depend on ready in the same cycle"),
        ("SHY", {"patient": True}, "stream 'o' gave nothing for"),
    ],
    ids=["drop", "unstable", "withdrawn", "probed", "patient"],
)
def test_fault_is_caught(tmp_path, seed, fault, sink, message):
    with pytest.raises(CocotbFailure, match=re.compile(message, re.DOTALL)) as error:
        run("faulty", tmp_path, seed=seed, parameters={"fault": fault, "sink": sink})
    assert f"MTIA_SEED={seed}" in str(error.value)


def test_seed(tmp_path, monkeypatch, capsys):
    def failure(**options):
        with pytest.raises(CocotbFailure) as error:
            run("tells_its_seed", tmp_path, **options)
        return re.findall(r"seed (\d+), drawn (\d+)", str(error.value))[0]

    monkeypatch.setenv("MTIA_SEED", "77")
    drawn = failure()
    assert drawn[0] == "77"
    assert "MTIA_SEED=77" in capsys.readouterr().out
    assert failure(seed=77) == drawn
    assert failure(seed=5)[1] != drawn[1]


def test_no_test_ran(tmp_path):
    with pytest.raises(CocotbFailure, match="no test ran"):
        run("there is no such test", tmp_path)


def test_module_missing(tmp_path):
    with pytest.raises(CocotbFailure, match=r"No module named 'tests.tb.nothing'"):
        run_cocotb(Adder(), module="tests.tb.nothing", folder=tmp_path)


def test_waves(tmp_path, seed):
    done = run("right_when_probed", tmp_path, seed=seed, waves=True)
    assert done.waves is not None
    assert done.waves.stat().st_size > 1000

"""The tensor engine at its streams, under cocotb: bits, timing and the rules of streams, whatever arrives when.

The tests themselves are in tb/tensor/engine_tb.py.
"""

import dataclasses
from typing import Any

import pytest

from hdl.tensor.engine import Engine
from mtia.generations import EngineParameters
from tb.ports import Design, design_of
from tb.runner import CocotbFailure, CocotbRun, run_cocotb

pytestmark = pytest.mark.sim

#: small enough to build in seconds; the first refuses E5M2 with E4M3, the second adds groups one after the other
ENGINES = {
    "narrow": EngineParameters(
        units=2,
        depth=8,
        slices=1,
        dense_rows=2,
        formats=("MXFP8_E4M3", "MXFP8_E5M2", "MXFP4", "BF16", "FP8_E4M3"),
        mixed=True,
        exact_e5m2=False,
    ),
    "deep": EngineParameters(
        units=2,
        depth=8,
        slices=2,
        dense_rows=2,
        formats=("NVFP4", "MXFP4", "MXINT8", "TF32", "FP8_E5M2"),
        mixed=True,
        deep=True,
    ),
}


class Bench:
    """An engine, emitted once, and its figures; `run` runs cocotb tests on it."""

    def __init__(self, parameters: EngineParameters):
        engine = Engine(parameters=parameters)
        self.design: Design = design_of(engine, name="engine")
        # the queue of results takes what the pipeline holds and two more, in a deep engine three
        assert engine.credits == engine.latency + 2 + parameters.deep
        self.figures = {"latency": engine.latency, "interval": engine.interval, "credits": engine.credits}
        self.engine = dataclasses.asdict(parameters)

    def run(self, folder: Any, seed: int, tests: str | None = None, **figures: int) -> CocotbRun:
        """All tests or some, with other figures if given."""
        return run_cocotb(
            self.design,
            module="tb.tensor.engine_tb",
            name="engine",
            tests=tests,
            parameters={"engine": self.engine} | self.figures | figures,
            folder=folder,
            seed=seed,
            optimise="-O0",  # building takes longer than simulating
        )


@pytest.fixture(scope="module", params=list(ENGINES))
def bench(request):
    return Bench(ENGINES[request.param])


def test_protocol(bench, tmp_path, seed):
    done = bench.run(tmp_path, seed)
    assert len(done.tests) == 26
    assert done.seed == seed


@pytest.mark.parametrize(
    "figure, by, tests, message",
    [
        ("latency", 1, "one_beat_a_cycle", r"valid of 'results' must be 0"),
        ("latency", -1, "one_beat_a_cycle", r"valid of 'results' must be 1"),
        ("interval", 1, "long_accumulation", r"ready of 'streamed' must be 0; a beat waits for hazard"),
        ("interval", -1, "long_accumulation", r"ready of 'streamed' must be 1"),
        ("credits", 1, "results_not_taken", r"ready of 'streamed' must be 1"),
        ("credits", -1, "results_not_taken", r"ready of 'streamed' must be 0; a beat waits for credit"),
    ],
)
def test_other_figures_are_noticed(bench, tmp_path, seed, figure, by, tests, message):
    """The timing is held to the cycle: a figure that is off by one fails."""
    with pytest.raises(CocotbFailure, match=message) as error:
        bench.run(tmp_path, seed, tests=tests, **{figure: bench.figures[figure] + by})
    assert f"MTIA_SEED={seed}" in str(error.value)

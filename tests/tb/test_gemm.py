# amaranth: UnusedElaboratable=no
# (some engines are made only to ask for their figures)
"""The driver of matrix products: what it refuses, and that the engine never waits for it."""

import dataclasses

import numpy as np
import pytest

from golden.mx import MXArray
from golden.tensor import matmul
from hdl.tensor.engine import Engine
from mtia import generations
from mtia.formats import FORMATS
from mtia.generations import EngineParameters
from tb.tensor import gemm
from tb.tensor.plan import plan
from tests.golden.support import assert_same_bits
from tests.hdl.tensor.support import gemm_lane, gemm_operand

#: also an engine of tests/hdl/tensor/test_engine_bits.py, so that the model is built once
SMALL = EngineParameters(units=2, slices=2, depth=8, dense_rows=2, formats=("MXFP8_E4M3", "MXFP4", "NVFP4"), mixed=True)
FP8, FP4 = FORMATS["MXFP8_E4M3"], FORMATS["MXFP4"]


@pytest.mark.sim
class TestGemmLane:
    @pytest.fixture
    def lane(self):
        return gemm_lane(SMALL)

    @pytest.mark.parametrize("name", ["MXFP8_E4M3", "MXFP4"])
    def test_cycles_are_those_of_the_plan(self, name, seed):
        """To its estimate only filling and draining is added."""
        generator = np.random.default_rng(seed)
        wide = gemm_lane(generations.get("mtia400").engine("sim"))
        engine = Engine(parameters=wide.parameters)
        fmt = FORMATS[name]
        for m, n, k in ((128, 20, 256), (192, 9, 64), (64, 8, 1024), (50, 60, 70), (64, 65, 96)):
            a, b = gemm_operand(generator, name, m, k), gemm_operand(generator, name, n, k)
            work = plan(wide.parameters, fmt, fmt, m, n, k)
            result, cycles = wide.multiply(a, b)
            assert_same_bits(result, matmul(a, b))
            assert work.estimate <= cycles <= work.estimate + engine.latency + wide.parameters.units + 8

    def test_short_passes_wait_for_their_accumulators(self, lane, seed):
        """One beat a pass: each waits a whole interval, and nothing else."""
        generator = np.random.default_rng(seed)
        passes = 16
        k = passes * SMALL.slices * 32
        a, b = gemm_operand(generator, "MXFP8_E4M3", 1, k), gemm_operand(generator, "MXFP8_E4M3", 2, k)
        result, cycles = lane.multiply(a, b)
        assert_same_bits(result, matmul(a, b))
        engine = Engine(parameters=SMALL)
        least = (passes - 1) * engine.interval + engine.latency
        assert least <= cycles <= least + SMALL.units + 8

    @pytest.mark.parametrize("shape", [(30, 7, 200), (1, 1, 1), (5, 40, 33)], ids=str)
    def test_progress(self, lane, shape, seed):
        """Rises to the number of results and says that number each time."""
        generator = np.random.default_rng(seed)
        m, n, k = shape
        calls: list[tuple[int, int]] = []
        a, b = gemm_operand(generator, "MXFP4", m, k), gemm_operand(generator, "MXFP4", n, k)
        lane.multiply(a, b, progress=lambda done, total: calls.append((done, total)))
        done = [call[0] for call in calls]
        assert {call[1] for call in calls} == {m * n}
        assert done == sorted(set(done))
        assert done[-1] == m * n
        work = plan(SMALL, FP4, FP4, m, n, k)
        assert len(calls) == sum(step.last for step in work.steps)

    def test_a_window_of_few_beats(self, lane, monkeypatch, seed):
        """However little is in flight at once, the result is the same."""
        generator = np.random.default_rng(seed)
        a, b = gemm_operand(generator, "MXFP4", 50, 100), gemm_operand(generator, "MXFP4", 9, 100)
        monkeypatch.setattr(gemm, "_WINDOW_WORDS", 1)
        assert_same_bits(lane.multiply(a, b)[0], matmul(a, b))

    def test_products_one_after_the_other(self, lane, seed):
        """Nothing of one is left for the next, whatever its format."""
        generator = np.random.default_rng(seed)
        for _ in range(12):
            a, b = lane.parameters.pairs()[generator.integers(len(lane.parameters.pairs()))]
            m, n, k = generator.integers(1, 40, 3).tolist()
            left, right = gemm_operand(generator, a, m, k), gemm_operand(generator, b, n, k)
            assert_same_bits(lane.multiply(left, right)[0], matmul(left, right, epilogue=False), (a.name, b.name))
            assert all(not lane.lane.waiting(name) for name in ("passes", "stationary", "streamed", "results"))

    def test_the_factor_of_a_tensor_is_not_applied(self, lane, seed):
        generator = np.random.default_rng(seed)
        a, b = gemm_operand(generator, "NVFP4", 5, 40), gemm_operand(generator, "NVFP4", 4, 40)
        twice = dataclasses.replace(a, tensor_scale=np.float32(2))
        assert_same_bits(lane.multiply(twice, b)[0], matmul(a, b))

    @pytest.mark.parametrize(
        ("a", "b"), [((3, 32), (4, 64)), ((32,), (4, 32)), ((3, 32), (32,)), ((2, 3, 32), (4, 32))], ids=str
    )
    def test_shapes_that_do_not_fit_are_wrong(self, lane, a, b):
        left, right = (
            MXArray.from_codes(
                np.zeros(shape, np.uint8), np.full((*shape[:-1], -(-shape[-1] // 32)), 127, np.uint8), FP4
            )
            for shape in (a, b)
        )
        with pytest.raises(ValueError, match=r"^Operands must be \(M, K\) and \(N, K\), not \(.*\) and \(.*\)$"):
            lane.multiply(left, right)

    @pytest.mark.parametrize(("a", "b"), [((0, 32), (4, 32)), ((4, 32), (0, 32)), ((0, 32), (0, 32))], ids=str)
    def test_empty_operands_are_wrong(self, lane, a, b):
        left, right = (
            MXArray.from_codes(np.zeros(shape, np.uint8), np.zeros((shape[0], 1), np.uint8), FP4) for shape in (a, b)
        )
        with pytest.raises(ValueError, match=r"^Operands must not be empty, not \(.*\) and \(.*\)$"):
            lane.multiply(left, right)

    def test_k_of_zero_is_wrong(self, lane):
        """Such an array comes from no quantiser, but a caller may make one."""
        empty = dataclasses.replace(
            MXArray.from_codes(np.zeros((2, 32), np.uint8), np.zeros((2, 1), np.uint8), FP4),
            codes=np.zeros((2, 0), np.uint8),
        )
        with pytest.raises(ValueError, match=r"^Operands must not be empty, not \(2, 0\) and \(2, 0\)$"):
            lane.multiply(empty, empty)

    @pytest.mark.parametrize(
        ("a", "b"),
        [("MXFP8_E5M2", "MXFP4"), ("NVFP4", "MXFP4"), ("MXFP4", "NVFP4"), ("FP8_E4M3", "FP8_E4M3"), ("BF16", "MXFP4")],
    )
    def test_a_pair_that_the_engine_lacks_is_wrong(self, lane, a, b, seed):
        generator = np.random.default_rng(seed)
        left, right = gemm_operand(generator, a, 3, 32), gemm_operand(generator, b, 4, 32)
        message = rf"^Formats must be a pair that the engine multiplies, not {a} and {b}$"
        with pytest.raises(ValueError, match=message):
            lane.multiply(left, right)

    def test_pairs_of_other_abilities_are_wrong(self, seed):
        """An engine without the wide sum for E5M2, and one whose operands must be equally wide."""
        generator = np.random.default_rng(seed)
        lane = gemm_lane(SMALL)
        for changes, a, b in (
            ({"exact_e5m2": False, "formats": ("MXFP8_E5M2", "MXFP4")}, "MXFP8_E5M2", "MXFP8_E5M2"),
            ({"mixed": False}, "MXFP8_E4M3", "MXFP4"),
        ):
            refusing = object.__new__(gemm.GemmLane)  # refused before anything is simulated
            refusing.parameters = dataclasses.replace(lane.parameters, **changes)
            left, right = gemm_operand(generator, a, 3, 32), gemm_operand(generator, b, 4, 32)
            with pytest.raises(ValueError, match=rf"^Formats must be a pair .*, not {a} and {b}$"):
                refusing.multiply(left, right)

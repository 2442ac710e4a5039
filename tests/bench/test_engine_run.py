"""Recorded products: their cycles, and what requantising adds to them."""

import dataclasses

import numpy as np
import pytest

from bench import engine_run, golden, sustained, utilization
from bench.engine_run import BLOCK, Product, RecordedEngine
from mtia.formats import get
from tb.tensor.plan import Planner

from .support import SMALL

#: rows by three divide few sizes, so the planner changes roles
ENGINE = dataclasses.replace(SMALL, dense_rows=3)


def product_of(m, n, k, *, transposed=False, roles=None, seed=1):
    """A product of made-up timing: each result beat some cycles after the one before."""
    row = get("MXFP4")
    rows, columns = (n, m) if transposed else (m, n)
    planner = Planner(ENGINE, row, row, rows, columns, k)
    work = planner.both_roles(swapped=True) if roles == 2 else planner.one_role(swapped=bool(roles))
    beats = sum(step.beats[1] - step.beats[0] for step in work.steps if step.last)
    results = np.cumsum(np.random.default_rng(seed).integers(1, 4, beats))
    lanes = ENGINE.mac_lanes(row, row)
    return Product(
        shape=(m, n, k),
        transposed=transposed,
        work=work,
        lanes=lanes,
        cycles=int(results[-1]) + 1,
        results=results,
        streamed=results,
    )


def naive_result_cycles(product):
    """Cycle of each result (M, N), by walking through the beats of the last passes."""
    work, taken, position = product.work, {}, 0
    for step in work.steps:
        for beat in range(*step.beats) if step.last else ():
            for row in step.job.streamed[beat * work.rows_per_beat : (beat + 1) * work.rows_per_beat]:
                for column in step.job.held:
                    taken[(column, row) if step.job.swapped else (row, column)] = product.results[position]
            position += 1
    m, n, _ = product.shape
    return np.array(
        [[taken[(column, row) if product.transposed else (row, column)] for column in range(n)] for row in range(m)]
    )


def naive_requantized(product, latency):
    """Cycles until the last block has left, by stepping a quantiser that takes a block a cycle."""
    cycles = naive_result_cycles(product)
    m, n, _ = product.shape
    blocks = [cycles[row, start : start + BLOCK].max() for row in range(m) for start in range(0, n, BLOCK)]
    cycle, left = 0, sorted(blocks)
    while left:
        if left[0] < cycle:  # a result of one cycle can be taken in the next
            left.pop(0)
        cycle += 1
    return cycle - 1 + latency + 1


@pytest.mark.parametrize("roles", [0, 1, 2])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("shape", [(5, 70, 64), (70, 5, 64), (2, 40, 128), (33, 64, 128), (1, 1, 32)])
def test_requantising_takes_a_block_a_cycle(shape, transposed, roles):
    product = product_of(*shape, transposed=transposed, roles=roles)
    assert np.array_equal(product.result_cycles(), naive_result_cycles(product))
    assert product.requantized_cycles(latency=9) == naive_requantized(product, latency=9)


def test_roles_are_covered():
    assert [product_of(33, 64, 128, roles=roles).work.roles for roles in range(3)] == [{False}, {True}, {False, True}]


def test_utilization_counts_every_lane_and_cycle():
    product = product_of(6, 8, 64)
    assert product.macs == 6 * 8 * 64
    assert product.utilization(product.macs // product.lanes) == 100.0
    assert product.utilization(2 * product.macs // product.lanes) == 50.0


@pytest.mark.sim
def test_products_are_recorded_and_checked(monkeypatch):
    engine = RecordedEngine(SMALL)
    product = engine_run.multiply(engine, "MXFP8_E4M3", "MXFP8_E4M3", (9, 5, 100))
    assert product.cycles == product.results[-1] + 1
    assert product.work.roles == {True}
    assert len(product.results) == 5 * 5
    assert len(product.streamed) == 5 * 5 * 2
    assert set(engine.lane.beats()) == {"passes", "stationary", "streamed", "results"}
    again = engine_run.multiply(engine, "MXFP8_E4M3", "MXFP8_E4M3", (9, 5, 100), transposed=True)
    assert again.result_cycles().shape == product.result_cycles().shape == (9, 5)
    monkeypatch.setattr(engine_run.tensor, "matmul", lambda *a, **b: np.zeros((9, 5), np.float32))
    with pytest.raises(RuntimeError, match=r"must have the golden model's bits"):
        engine_run.multiply(engine, "MXFP8_E4M3", "MXFP8_E4M3", (9, 5, 100))


@pytest.mark.sim
def test_tables_on_a_small_engine():
    engine = RecordedEngine(SMALL)
    cube = utilization.cube(engine, "small MXFP4", "MXFP4", 64, 50.0)
    assert cube.what == "small MXFP4 64^3"
    assert 50.0 < cube.value < 100.0
    assert "without requantising" in cube.note
    ragged = utilization.ragged(engine, "small NVFP4", "NVFP4", [(7, 9, 40), (3, 8, 64)])
    assert 0 < ragged.value < 100
    rate, idle = sustained.of_engine("small", SMALL, ["MXFP4"], tiles=4)
    assert rate.value == 1.0
    assert idle.value >= 0
    assert rate.what == "small MXFP4, blocks of 8, 4, 2 beats, K = 64"


class FakeLane:
    """A quantiser that gives a block `latency` cycles after it took it, and stops once for `gap` cycles."""

    latency, gap = 9, 0

    def __init__(self, component, *, name):
        self.blocks = 0

    def push(self, stream, beats):
        self.blocks = len(beats["format"])

    def run(self, until, *, record):
        assert record

    def transfer_cycles(self, stream):
        cycles = np.arange(self.blocks, dtype=np.uint64)
        cycles[self.blocks // 2 :] += np.uint64(self.gap)
        return cycles + np.uint64(self.latency if stream == "o" else 0)


@pytest.fixture
def fake_lane(monkeypatch):
    monkeypatch.setattr(engine_run, "Lane", FakeLane)
    monkeypatch.setattr(engine_run, "Quantizer", lambda: None)
    engine_run.quantizer_latency.cache_clear()
    yield monkeypatch
    engine_run.quantizer_latency.cache_clear()


def test_latency_of_the_quantiser(fake_lane):
    assert engine_run.quantizer_latency() == 9


def test_quantiser_that_pauses_wrong(fake_lane):
    fake_lane.setattr(FakeLane, "gap", 1)
    with pytest.raises(RuntimeError, match="Quantiser must take and give a block a cycle"):
        engine_run.quantizer_latency()


def test_golden_time_of_a_small_product():
    figure = golden.of_format("MXFP4", 64, 10.0)
    assert figure.passed
    assert "CPU" in figure.note


def test_golden_time_of_a_wrong_product(monkeypatch):
    monkeypatch.setattr(golden.tensor, "matmul", lambda a, b: np.zeros((64, 64), np.float32))
    with pytest.raises(RuntimeError, match=r"MXFP4 must have the reference's bits"):
        golden.of_format("MXFP4", 64)

"""How products are cut into passes: everything once, in order, within limits, and never slower than in one role."""

import dataclasses

import numpy as np
import pytest

from mtia import generations
from mtia.formats import FORMATS
from mtia.generations import EngineParameters
from tb.tensor.plan import Job, Plan, Planner, plan

SMALL = EngineParameters(units=2, slices=2, depth=8, dense_rows=2, formats=("MXFP8_E4M3", "MXFP4", "NVFP4"), mixed=True)
FP8, FP4 = FORMATS["MXFP8_E4M3"], FORMATS["MXFP4"]
SIM = generations.get("mtia450").engine("sim")


def random_products(seed, count=150):
    """Engines, formats and sizes."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        m, n, k, units, depth, rows, slices = (int(generator.integers(1, top)) for top in (150, 150, 400, 17, 65, 5, 4))
        engine = dataclasses.replace(SMALL, units=units, depth=max(depth, 2), dense_rows=rows, slices=slices)
        yield engine, (FP8, FP4, FORMATS["NVFP4"])[generator.integers(3)], (m, n, k)


def plans(engine, fmt, sizes):
    """Every plan that may be chosen."""
    planner = Planner(engine, fmt, fmt, *sizes)
    return [make(swapped=swapped) for make in (planner.one_role, planner.both_roles) for swapped in (False, True)]


def walk(work):
    """Run the steps on accumulators that know what they hold; yields (row of A, row of B) of each result."""
    held: dict[int, tuple[Job, int, int]] = {}
    for step in work.steps:
        first, last = step.beats
        for done in range(*step.passes):
            for offset in range(last - first):
                address = step.address + offset
                assert 0 <= address < work.depth
                if done:
                    assert held[address] == (step.job, first + offset, done - 1), "another step took the accumulator"
                held[address] = (step.job, first + offset, done)
        assert step.last == (step.passes[1] == work.passes_k)
        if step.last:
            for streamed in work.streamed(step):
                for row in step.job.held:
                    yield (row, streamed) if step.job.swapped else (streamed, row)


def test_every_result_is_computed_once_in_the_order_of_k(seed):
    for engine, fmt, sizes in random_products(seed):
        m, n, k = sizes
        for work in plans(engine, fmt, sizes):
            assert (work.passes_k - 1) * engine.slices * fmt.group < k <= work.passes_k * engine.slices * fmt.group
            results = list(walk(work))
            assert len(results) == m * n
            assert set(results) == {(row, column) for row in range(m) for column in range(n)}


def test_jobs_are_within_the_engine(seed):
    for engine, fmt, sizes in random_products(seed):
        for work in plans(engine, fmt, sizes):
            assert work.rows_per_beat == (engine.dense_rows if fmt.element.width == 4 else 1)
            for job in work.jobs:
                beats = -(-len(job.streamed) // work.rows_per_beat)
                assert 0 < len(job.held) <= engine.units
                assert 0 <= job.late < beats <= engine.depth
                assert job.rows == ((job.held, job.streamed) if job.swapped else (job.streamed, job.held))
            assert sum(job.late > 0 for job in work.jobs) <= 1


def test_the_estimate_lies_between_its_bounds(seed):
    """No less than the multiplications need, no more than passes that overlap in nothing."""
    for engine, fmt, (m, n, k) in random_products(seed):
        for work in plans(engine, fmt, (m, n, k)):
            steps = list(work.steps)
            assert work.estimate * engine.mac_lanes(fmt, fmt) >= m * n * k
            alone = [step.beats[1] - step.beats[0] + len(step.job.held) + work.interval for step in steps]
            passes = [step.passes[1] - step.passes[0] for step in steps]
            assert work.estimate <= sum(cycles * count for cycles, count in zip(alone, passes, strict=True))
            assert work.estimate >= sum(passes)


def test_the_best_plan_is_taken(seed):
    """A mixture of roles only where it is better; the operands exchanged, the estimate stays."""
    seen = set()
    for engine, fmt, (m, n, k) in random_products(seed):
        work = plan(engine, fmt, fmt, m, n, k)
        candidates = plans(engine, fmt, (m, n, k))
        assert work.estimate == min(candidate.estimate for candidate in candidates)
        if len(work.roles) == 2:
            assert work.estimate < min(candidate.estimate for candidate in candidates[:2])
        assert plan(engine, fmt, fmt, n, m, k).estimate == work.estimate
        seen.add(frozenset(work.roles))
    assert seen == {frozenset({False}), frozenset({True}), frozenset({False, True})}


def test_operands_of_different_formats_keep_their_roles(seed):
    for engine, _, (m, n, k) in random_products(seed):
        for a, b in ((FP8, FP4), (FP4, FP8)):
            work = plan(engine, a, b, m, n, k)
            assert len(work.roles) == 1
            assert work.rows_per_beat == 1, "only a pair of E2M1 is dense"


def test_sets_of_accumulators_are_even(seed):
    for engine, fmt, sizes in random_products(seed):
        work = Planner(engine, fmt, fmt, *sizes).one_role(swapped=False)
        beats = [-(-len(job.streamed) // work.rows_per_beat) for job in work.jobs]
        assert max(beats) - min(beats) <= 1


def test_one_role():
    """20 rows stream in three sets of accumulators past blocks of 1, 2 and 2 rows."""
    work = Planner(SMALL, FP8, FP8, 20, 5, 150).one_role(swapped=False)
    assert [(list(job.held), len(job.streamed)) for job in work.jobs[:4]] == [
        ([4], 6),
        ([0, 1], 6),
        ([2, 3], 6),
        ([4], 7),
    ]
    assert work.passes_k == 3
    assert work.estimate == 3 * 20 + 2 * 9 * work.interval  # as each accumulator is used again


def test_a_late_beat():
    """Its last pass is the last of all; what it has accumulated until then stays where it is."""
    late = Job(swapped=True, held=(0, 1), streamed=(0, 1, 2, 3), late=1)
    other = Job(swapped=False, held=(2, 3), streamed=(0, 1))
    work = Plan(jobs=(late, other), rows_per_beat=1, passes_k=3, units=2, depth=8, interval=5)
    steps = [(step.job, step.beats, step.passes, step.last, step.address) for step in work.steps]
    assert steps == [
        (late, (0, 4), (0, 2), False, 4),
        (late, (0, 3), (2, 3), True, 4),
        (other, (0, 2), (0, 3), True, 0),
        (late, (3, 4), (2, 3), True, 7),
    ]
    assert work.estimate == 2 * 5 + 3 + 2 * 5 + 2 + 1
    assert len(list(walk(work))) == 12


@pytest.mark.parametrize(
    ("name", "sizes", "cycles", "one_role"),
    [
        ("MXFP4", (64, 64, 64), 342, 352),  # 64 rows are 22 beats of three, of which 2 places are empty
        ("MXFP4", (128, 128, 128), 2732, 2752),
        ("MXFP4", (49, 96, 96), 588, 612),
        ("MXFP8_E4M3", (64, 64, 64), 1024, 1024),
        ("MXFP8_E4M3", (33, 65, 97), 1098, 1188),  # one row more than blocks of eight
    ],
)
def test_cycles_of_a_generation(name, sizes, cycles, one_role):
    fmt = FORMATS[name]
    best, *_ = sorted(plans(SIM, fmt, sizes)[:2], key=lambda work: work.estimate)
    assert (plan(SIM, fmt, fmt, *sizes).estimate, best.estimate) == (cycles, one_role)

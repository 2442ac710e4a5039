"""Timer: not allowed in the cycle before, allowed in the cycle itself, for every pair of events."""

import random

import pytest
from amaranth.hdl import Const

from hdl.hbm.timer import timer

from ..pysim import logic, run


def allowed(rows, distances):
    """For each cycle whether every event's distance has passed."""
    last: list[int | None] = [None] * len(distances)
    for cycle, row in enumerate(rows):
        yield all(then is None or cycle - then >= distance for then, distance in zip(last, distances, strict=True))
        last = [cycle if event else then for event, then in zip(row, last, strict=True)]


@pytest.mark.parametrize("distances", [(2,), (3,), (4,), (7,), (2, 5), (1, 3), (0, 2, 9), (8, 8, 3)])
@pytest.mark.parametrize("often", [0.03, 0.2, 0.7])
def test_distances(distances, often, seed):
    """Events come at any time, also while an earlier one is counted."""
    rng = random.Random(seed)

    def build(m, *events):
        return [timer(m, "left", list(zip(events, distances, strict=True)))]

    m, inputs, outputs = logic(build, *[1] * len(distances))
    rows = [tuple(int(rng.random() < often) for _ in distances) for _ in range(600)]
    assert [bool(each) for (each,) in run(m, inputs, outputs, rows)] == list(allowed(rows, distances))


@pytest.mark.parametrize("distance", range(2, 12))
def test_edge(distance):
    """One event: illegal at distance - 1, legal at distance."""
    m, inputs, outputs = logic(lambda m, event: [timer(m, "left", [(event, distance)])], 1)
    found = [each for (each,) in run(m, inputs, outputs, [(1,)] + [(0,)] * (distance + 2))]
    assert found == [1] + [0] * (distance - 1) + [1] * 3


@pytest.mark.parametrize("distances", [(), (0,), (1,), (1, 0)])
def test_never_waits(distances):
    def build(m, *events):
        return [timer(m, "left", list(zip(events, distances, strict=True)))]

    m, inputs, outputs = logic(build, *[1] * len(distances))
    assert isinstance(outputs[0], Const)
    assert run(m, inputs, outputs, [(1,) * len(distances)] * 3) == [(1,)] * 3

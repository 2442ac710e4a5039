# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Round robin, and reading what is picked."""

import random

import pytest

from hdl.hbm.select import RoundRobin, bit_of, index_of, lowest, read

from ..pysim import logic, run


def turns(requests, taken, inputs):
    """What is picked in each cycle."""
    last = -1
    for asked, used in zip(requests, taken, strict=True):
        order = [place % inputs for place in range(last + 1, last + 1 + inputs)]
        picked = next((place for place in order if asked >> place & 1), None)
        yield 0 if picked is None else 1 << picked
        if used and picked is not None:
            last = picked


@pytest.mark.parametrize("inputs", [2, 3, 8])
def test_turns(inputs, seed):
    rng = random.Random(seed)
    requests = [rng.getrandbits(inputs) & rng.getrandbits(inputs) for _ in range(1000)]
    taken = [rng.random() < 0.6 for _ in requests]
    dut = RoundRobin(inputs=inputs)
    found = run(dut, [dut.requests, dut.taken], [dut.picked], zip(requests, taken, strict=True))
    assert [picked for (picked,) in found] == list(turns(requests, taken, inputs))


def test_everyone_has_a_turn():
    dut = RoundRobin(inputs=4)
    found = run(dut, [dut.requests, dut.taken], [dut.picked], [(0b1111, 1)] * 8 + [(0b0101, 1)] * 3 + [(0b0101, 0)] * 2)
    assert [picked for (picked,) in found] == [1, 2, 4, 8] * 2 + [1, 4, 1, 4, 4]


def test_parameters():
    assert RoundRobin(inputs=3).inputs == 3
    with pytest.raises(ValueError, match="Round robin inputs must be at least 2, not 1"):
        RoundRobin(inputs=1)
    with pytest.raises(TypeError, match="Round robin inputs must be an integer, not None"):
        RoundRobin(inputs=None)  # type: ignore[arg-type]  # what the test is about


@pytest.mark.parametrize("width", [1, 2, 5, 8])
def test_lowest_and_bit_of(width):
    m, inputs, outputs = logic(lambda m, bits, index: [lowest(bits), bit_of(bits, index)], width, 3)
    rows = [(bits, index) for bits in range(1 << width) for index in range(8)]
    found = run(m, inputs, outputs, rows)
    assert found == [(bits & -bits, bits >> index & 1) for bits, index in rows]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
def test_read(count, seed):
    rng = random.Random(seed)
    widths = [rng.randint(1, 9) for _ in range(count)]

    def build(m, picked, *values):
        return [read(m, picked, values, name="value"), index_of(m, picked, name="index")]

    m, inputs, outputs = logic(build, count, *widths)
    rows, expected = [], []
    for _ in range(200):
        values = [rng.getrandbits(width) for width in widths]
        place = rng.randint(-1, count - 1)
        rows.append((0 if place < 0 else 1 << place, *values))
        expected.append((0, 0) if place < 0 else (values[place], place))
    assert run(m, inputs, outputs, rows) == expected

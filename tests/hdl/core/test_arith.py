# amaranth: UnusedElaboratable=no
# (a module whose logic is refused is never elaborated)
"""Trees, leading zeros, sticky shifts and delays against Python integers, exhaustively where they are small."""

import itertools
import random
import re

import pytest
from amaranth.hdl import Cat, Module, Signal, Value

from hdl.core.arith import (
    delay,
    leading_zeros,
    maximum_tree,
    reduce_tree,
    shift_right_sticky,
    sum_tree,
    tree_levels,
)
from tests.hdl.pysim import logic, run

COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 31, 32, 33)


def random_rows(seed, widths, count):
    generator = random.Random(seed)
    rows = [[generator.getrandbits(width) for width in widths] for _ in range(count)]
    return [[0] * len(widths), [(1 << width) - 1 for width in widths], *rows]


@pytest.mark.parametrize("count", range(1, 70))
def test_tree_levels(count):
    levels = tree_levels(count)
    assert count <= 1 << levels
    assert levels == 0 or count > 1 << (levels - 1)


@pytest.mark.parametrize("count", COUNTS)
def test_sum_tree(seed, count):
    m, inputs, outputs = logic(lambda m, *terms: [sum_tree(m, terms, name="total")], *[5] * count)
    assert len(outputs[0]) <= 5 + tree_levels(count)
    rows = random_rows(seed, [5] * count, 40)
    assert run(m, inputs, outputs, rows) == [(sum(row),) for row in rows]


@pytest.mark.parametrize("count", COUNTS)
def test_maximum_tree(seed, count):
    m, inputs, outputs = logic(lambda m, *terms: [maximum_tree(m, terms, name="largest")], *[6] * count)
    rows = random_rows(seed, [6] * count, 40)
    rows += [[63 if index == place else 62 for index in range(count)] for place in range(count)]
    assert run(m, inputs, outputs, rows) == [(max(row),) for row in rows]


def test_terms_may_differ_in_width(seed):
    widths = [1, 7, 3, 9, 2]
    m, inputs, outputs = logic(
        lambda m, *terms: [sum_tree(m, terms, name="total"), maximum_tree(m, terms, name="largest")], *widths
    )
    rows = random_rows(seed, widths, 60)
    assert run(m, inputs, outputs, rows) == [(sum(row), max(row)) for row in rows]


@pytest.mark.parametrize("registered", [(1,), (2,), (3,), (1, 3), (1, 2, 3)])
@pytest.mark.parametrize("count", [5, 6, 7, 8])
def test_registered_levels_cost_a_cycle_each(seed, count, registered):
    """An odd term, carried past a level, arrives with its neighbours."""
    m, inputs, outputs = logic(
        lambda m, *terms: [sum_tree(m, terms, name="total", registered=registered)], *[8] * count
    )
    rows = random_rows(seed, [8] * count, 40)
    latency = len(registered)
    assert run(m, inputs, outputs, rows, latency=latency) == [(sum(row),) for row in rows]
    assert run(m, inputs, outputs, rows, latency=latency - 1) != [(sum(row),) for row in rows]


def test_combination_is_by_neighbours_and_named():
    """Order and names of the nodes: pairs from the left, the odd term last."""
    seen = []

    def combine(a, b):
        seen.append(f"{a.name},{b.name}")
        return Cat(a, b)

    m, inputs, outputs = logic(lambda m, *terms: [reduce_tree(m, terms, combine, name="node")], *[2] * 5)
    assert seen == ["input_0,input_1", "input_2,input_3", "node_1_0,node_1_1", "node_2_0,node_2_1"]
    assert outputs[0].name == "node_3_0"
    assert run(m, inputs, outputs, [[0, 1, 2, 3, 1]]) == [(0b01_11_10_01_00,)]


@pytest.mark.parametrize("tree", [sum_tree, maximum_tree, lambda m, terms, name: reduce_tree(m, terms, max, name=name)])
def test_tree_without_terms_is_wrong(tree):
    with pytest.raises(ValueError, match=r"^Terms of a tree must be at least one, not \[\]$"):
        tree(Module(), [], name="total")


@pytest.mark.parametrize(("count", "registered", "top"), [(8, (2, 4), 3), (5, (0,), 3), (1, (1,), 0)])
def test_registered_levels_wrong(count, registered, top):
    message = rf"^Registered levels must be in 1 to {top}, not {re.escape(repr(registered))}$"
    with pytest.raises(ValueError, match=message):
        sum_tree(Module(), [Signal(4) for _ in range(count)], name="total", registered=registered)


def zeros_above(value, width):
    return width - value.bit_length()


@pytest.mark.parametrize("width", range(1, 12))
def test_leading_zeros(width):
    m, inputs, outputs = logic(lambda m, value: leading_zeros(m, value, name="zeros"), width)
    results = run(m, inputs, outputs, [[value] for value in range(1 << width)])
    assert results[0][1] == 0
    for value, (count, normalized) in enumerate(results[1:], 1):
        assert count == zeros_above(value, width)
        assert normalized == value << count


@pytest.mark.parametrize("width", range(1, 9))
def test_leading_zeros_with_a_limit(width):
    """The limit may be anything: nothing, less than the zeros, more than the width."""

    def build(m, value, limit):
        return leading_zeros(m, value, name="zeros", limit=limit)

    m, inputs, outputs = logic(build, width, 4)
    rows = list(itertools.product(range(1 << width), range(16)))
    for (value, limit), (count, normalized) in zip(rows, run(m, inputs, outputs, rows), strict=True):
        if value:
            assert count == min(limit, zeros_above(value, width))
        assert normalized == value << count & (1 << width) - 1


@pytest.mark.parametrize("registered", [(8,), (1,), (2, 1), (8, 4, 2, 1), (16, 8)])
def test_leading_zeros_with_registers(seed, registered):
    width = 21

    def build(m, value):
        return leading_zeros(m, value, name="zeros", registered=registered)

    m, inputs, outputs = logic(build, width)
    generator = random.Random(seed)
    values = [generator.getrandbits(width) >> generator.randrange(width) | 1 for _ in range(300)]
    results = run(m, inputs, outputs, [[value] for value in values], latency=len(registered))
    assert results == [(zeros_above(value, width), value << zeros_above(value, width)) for value in values]


@pytest.mark.parametrize(
    ("registered", "limited"), [((), True), ((8,), True), ((4, 1), True), ((16, 8, 4, 2, 1), True), ((2,), False)]
)
def test_leading_zeros_with_registers_and_a_limit(seed, registered, limited):
    """The limit goes with its value through the registers."""
    width, generator = 21, random.Random(seed)

    def build(m, value, limit):
        return leading_zeros(m, value, name="zeros", registered=registered, limit=limit if limited else None)

    rows = [
        (generator.getrandbits(width) >> generator.randrange(width) | 1, generator.randrange(64)) for _ in range(300)
    ]
    m, inputs, outputs = logic(build, width, 6)
    for (value, limit), (count, normalized) in zip(
        rows, run(m, inputs, outputs, rows, latency=len(registered)), strict=True
    ):
        assert count == min(limit if limited else width, zeros_above(value, width))
        assert normalized == value << count


@pytest.mark.parametrize(
    ("width", "registered", "distances"),
    [(21, (64,), [1, 2, 4, 8, 16]), (21, (8, 3), [1, 2, 4, 8, 16]), (8, (8,), [1, 2, 4]), (1, (1,), [])],
)
def test_registered_distances_wrong(width, registered, distances):
    rule = re.escape(f"Registered distances must be among {distances}, not {registered!r}")
    with pytest.raises(ValueError, match=f"^{rule}$"):
        leading_zeros(Module(), Signal(width), name="zeros", registered=registered)


@pytest.mark.parametrize("bits", range(1, 5))
@pytest.mark.parametrize("width", range(1, 8))
def test_shift_right_sticky(width, bits):
    """Every value and amount, amounts past the width among them."""
    m, inputs, outputs = logic(
        lambda m, value, amount: [shift_right_sticky(m, value, amount, name="shift")], width, bits
    )
    rows = list(itertools.product(range(1 << width), range(1 << bits)))
    expected = [value >> amount | bool(value & (1 << amount) - 1) for value, amount in rows]
    assert [result for (result,) in run(m, inputs, outputs, rows)] == expected


@pytest.mark.parametrize("cycles", range(4))
def test_delay(seed, cycles):
    m, inputs, outputs = logic(lambda m, value: [delay(m, value, cycles, name="late")], 9)
    rows = random_rows(seed, [9], 40)
    assert run(m, inputs, outputs, rows, latency=cycles) == [tuple(row) for row in rows]


def test_delay_keeps_the_shape():
    m, inputs, outputs = logic(lambda m, value: [delay(m, Value.cast(value).as_signed(), 2, name="late")], 4)
    assert outputs[0].shape().signed
    assert run(m, inputs, outputs, [[0b1000]] * 3, latency=2) == [(-8,)] * 3


@pytest.mark.parametrize("reset_less", [True, False])
def test_delay_with_and_without_reset(reset_less):
    m, (value,), (late,) = logic(lambda m, value: [delay(m, value, 1, name="late", reset_less=reset_less)], 1)
    assert late.reset_less is reset_less
    assert late.name == "late_1"
    assert run(m, [value], [late], [[1], [0]], latency=1) == [(1,), (0,)]

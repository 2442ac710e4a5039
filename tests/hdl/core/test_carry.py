"""Chains of carry cells against Python integers; their Verilog meets every pair of codes in tests/hdl/tensor."""

import itertools

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.core import carry
from hdl.core.carry import Bit, Chains, multiply
from hdl.emit import emit
from tests.hdl.pysim import logic, run


class Multiplier(wiring.Component):
    """x * y on carry cells."""

    def __init__(self, *, bits_x, bits_y):
        self.bits_x, self.bits_y = bits_x, bits_y
        super().__init__({"x": In(bits_x), "y": In(bits_y), "product": Out(bits_x + bits_y)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.product.eq(multiply(Chains(m, platform), {"product": (self.x, self.y)})[0])
        return m


@pytest.mark.parametrize(("x", "y"), [(1, 1), (2, 2), (3, 2), (4, 1), (4, 3), (3, 4), (4, 4), (5, 5)])
def test_every_product(x, y):
    dut = Multiplier(bits_x=x, bits_y=y)
    rows = list(itertools.product(range(1 << x), range(1 << y)))
    assert run(dut, [dut.x, dut.y], [dut.product], rows) == [(a * b,) for a, b in rows]


@pytest.mark.parametrize(("x", "y"), [(8, 8), (11, 11), (13, 8)])
def test_products_of_the_lanes(x, y, seed):
    """Those of all single bits, and of numbers about the ends."""
    dut = Multiplier(bits_x=x, bits_y=y)
    left, right = (
        sorted({0, (1 << bits) - 1, seed % (1 << bits), *(1 << at for at in range(bits)), (1 << bits) * 5 // 7})
        for bits in (x, y)
    )
    rows = list(itertools.product(left, right))
    assert run(dut, [dut.x, dut.y], [dut.product], rows) == [(a * b,) for a, b in rows]


@pytest.mark.parametrize(
    ("table", "operands"),
    [
        (carry.ADD, lambda a, b, c, d: (a, b) if d else None),
        (carry.ADD_AND, lambda a, b, c, d: (a, b & c) if not d else None),
        (carry.AND_ADD_AND, lambda a, b, c, d: (a & b, c & d)),
        (carry.XOR_ADD_XOR, lambda a, b, c, d: (a ^ b, c ^ d)),
        (carry.XOR, lambda a, b, c, d: (a ^ b, 0) if d and not c else None),
    ],
    ids=["add", "add_and", "and_add_and", "xor_add_xor", "xor"],
)
@pytest.mark.parametrize("into", [0, 1])
def test_each_table_adds_what_it_says(table, operands, into):
    """One bit of it and the carry out of it, for every input that it is made for."""

    def build(m, *inputs):
        below = Bit(table=carry.CARRY_AND, inputs=(into, 1, 0, 1))
        bits = [below, Bit(table=table, inputs=inputs), carry.add(0, 0)]
        return [Chains(m, None).sum(bits, name="total")[1:]]

    m, inputs, outputs = logic(build, 1, 1, 1, 1)
    rows = [row for row in itertools.product((0, 1), repeat=4) if operands(*row) is not None]
    assert run(m, inputs, outputs, rows) == [(sum(operands(*row)) + into,) for row in rows]


@pytest.mark.parametrize(
    ("table", "wanted"), [(carry.CARRY_AND, lambda a, b: a & b), (carry.CARRY_XOR, lambda a, b: a ^ b)]
)
def test_carries_from_below(table, wanted):
    def build(m, a, b):
        return [Chains(m, None).sum([Bit(table=table, inputs=(a, b, 0, 1)), carry.add(0, 0)], name="total")]

    m, inputs, outputs = logic(build, 1, 1)
    rows = list(itertools.product((0, 1), repeat=2))
    assert run(m, inputs, outputs, rows) == [(2 * wanted(*row),) for row in rows]


def plain(a, b, top):
    """A chain that adds two bits of each number; with a top that nothing is carried from, or without."""
    return [carry.add(a[0], b[0]), carry.add(a[1], b[1]), *([carry.add(0, 0)] if top else [carry.add(a[2], b[2])])]


def begun(a, b, one):
    """A chain that begins with what is carried from below."""
    return [Bit(table=carry.CARRY_AND, inputs=(one, 1, 0, 1)), *(carry.add(a[at], b[at]) for at in range(2))]


@pytest.mark.parametrize(
    ("top", "second_begins", "cells"),
    [(True, False, 3), (False, True, 3), (False, False, 4)],
    ids=["nothing carried from the lower", "nothing passes into the upper", "apart"],
)
def test_odd_chains_share_a_cell_that_carries_nothing(top, second_begins, cells):
    """Two of three bits, in three cells where nothing can be carried between them and in four where it can."""

    class Two(wiring.Component):
        a: In(3)
        b: In(3)
        one: In(1)
        first: Out(3)
        second: Out(3)

        def elaborate(self, platform):
            m = Module()
            upper = begun(self.a, self.b, self.one) if second_begins else plain(self.b, self.a, False)
            found = Chains(m, platform).sums({"lower": plain(self.a, self.b, top), "upper": upper})
            m.d.comb += [self.first.eq(found[0]), self.second.eq(found[1])]
            return m

    dut = Two()
    rows = list(itertools.product(range(8), range(8), (0, 1)))
    for (a, b, one), (first, second) in zip(
        rows, run(dut, [dut.a, dut.b, dut.one], [dut.first, dut.second], rows), strict=True
    ):
        assert first == ((a & 3) + (b & 3) if top else a + b & 7)
        if second_begins:
            assert second >> 1 == (a + b + one & 3)
        else:
            assert second == (a + b & 7)
    assert emit(Two(), name="top").verilog.count("CCU2C #(") == cells


def test_chains_keep_their_order():
    """Even ones between odd ones, and an odd one that is left."""

    def build(m, a, b):
        named = {str(size): [carry.add(a[at], b[at]) for at in range(size)] for size in (3, 2, 1)}
        return Chains(m, None).sums(named)

    m, inputs, outputs = logic(build, 3, 3)
    rows = list(itertools.product(range(8), range(8)))
    assert run(m, inputs, outputs, rows) == [(a + b & 7, a + b & 3, a + b & 1) for a, b in rows]


def test_products_of_several_pairs():
    """Of one size, which share cells, and of others."""

    def build(m, *factors):
        return multiply(Chains(m, None), {str(at): factors[at : at + 2] for at in range(0, len(factors), 2)})

    widths = (3, 4, 3, 4, 4, 2, 2, 1)
    m, inputs, outputs = logic(build, *widths)
    rows = [[(line * 37 >> at) % (1 << width) for at, width in enumerate(widths)] for line in range(150)]
    wanted = [tuple(row[at] * row[at + 1] for at in range(0, len(row), 2)) for row in rows]
    assert run(m, inputs, outputs, rows) == wanted


def test_cells_are_instantiated_in_verilog_alone():
    """With their model for simulators behind them, once; a module without cells has none."""

    class Plain(wiring.Component):
        x: In(4)
        y: Out(4)

        def elaborate(self, platform):
            m = Module()
            m.d.comb += self.y.eq(self.x + 1)
            return m

    verilog = emit(Multiplier(bits_x=4, bits_y=4), name="top").verilog
    assert verilog.count("\nmodule CCU2C(") == 1
    assert verilog.count("CCU2C #(") == 9
    assert verilog.index("`ifndef SYNTHESIS") < verilog.index("\nmodule CCU2C(") < verilog.index("`endif")
    assert "CCU2C" not in emit(Plain(), name="top").verilog

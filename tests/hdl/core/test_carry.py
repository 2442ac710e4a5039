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
        m.d.comb += self.product.eq(multiply(Chains(m, platform), self.x, self.y, name="product"))
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

# amaranth: UnusedElaboratable=no
# (modules whose connection is refused are never elaborated)
"""Checked connect: it wires like Amaranth's and refuses payloads that only have the width in common."""

import pytest
from amaranth.hdl import Module, signed, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.sim import Simulator

from hdl.core.connect import connect


class Op(enum.Enum, shape=3):
    """One enumeration."""

    A = 0
    B = 1


class Kind(enum.Enum, shape=3):
    """Another one of the same width."""

    A = 0
    B = 1


class Request(data.Struct):
    """A type."""

    op: Op
    address: unsigned(5)


class Again(data.Struct):
    """The same structure under another name."""

    op: Op
    address: unsigned(5)


class Swapped(data.Struct):
    """The same fields in another order."""

    address: unsigned(5)
    op: Op


def pair(one, other):
    """An output stream of one shape and an input stream of another, as connect meets them."""
    return stream.Signature(one).create(path=("a",)), stream.Signature(other).flip().create(path=("b",))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Request, Request),
        (Request, Again),
        (Request, data.StructLayout({"op": Op, "address": 5})),
        (unsigned(4), range(16)),
        (data.ArrayLayout(4, 2), data.ArrayLayout(unsigned(4), 2)),
    ],
)
def test_same_structure_connects(one, other):
    m = Module()
    a, b = pair(one, other)
    connect(m, a, b)
    seen = []

    async def bench(ctx):
        ctx.set(a.valid, 1)
        ctx.set(b.ready, 1)
        seen.extend([ctx.get(b.valid), ctx.get(a.ready)])

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [1, 1]


@pytest.mark.parametrize(
    ("one", "other", "text"),
    [
        (
            Request,
            Swapped,
            r"struct {op@0: enum Op\(3\), address@3: unsigned\(5\)} and "
            r"struct {address@0: unsigned\(5\), op@5: enum Op\(3\)}",
        ),
        (Request, unsigned(8), r"struct {op@0: enum Op\(3\), address@3: unsigned\(5\)} and unsigned\(8\)"),
        (Op, Kind, r"enum Op\(3\) and enum Kind\(3\)"),
        (unsigned(4), signed(4), r"unsigned\(4\) and signed\(4\)"),
        (data.ArrayLayout(4, 2), data.ArrayLayout(2, 4), r"array\(unsigned\(4\), 2\) and array\(unsigned\(2\), 4\)"),
        (data.UnionLayout({"a": 4}), data.StructLayout({"a": 4}), r"union {a@0: unsigned\(4\)} and struct {a@0: .*}"),
        (unsigned(4), unsigned(5), r"unsigned\(4\) and unsigned\(5\)"),
    ],
)
def test_other_structure_is_refused_with_both_shapes(one, other, text):
    m = Module()
    with pytest.raises(wiring.ConnectionError, match=rf"Shapes of member 'payload' must be equal, not {text}"):
        connect(m, *pair(one, other))


def test_amaranths_own_checks_still_hold():
    m = Module()
    with pytest.raises(wiring.ConnectionError, match="present in"):
        connect(m, wiring.Signature({"a": wiring.Out(1)}).create(), wiring.Signature({"b": wiring.In(1)}).create())

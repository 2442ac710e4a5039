# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""The ring of slots: whatever order they are read in, each TREE's enter the sum by index, and its result has its line.

The arithmetic is replaced by one that shows every change of order. The real one has its own tests.
"""

import random

import pytest
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring

from hdl.core.checks import stream_in, stream_out
from hdl.hbm import tree_slots
from hdl.hbm.ordered_sum import OrderedSum
from hdl.hbm.reduce_format import ReduceFormat, ReduceKind
from hdl.hbm.tree_slots import TreeSlots

from ..pysim import simulate

LINES = 6
ATOM = (1 << 256) - 1


class Sum(wiring.Component):
    """In place of the ordered sum: rotates what it has by a bit for each slot and adds kind and format; one result."""

    def __init__(self, *, slots, token_bits):
        real = OrderedSum(slots=slots, token_bits=token_bits)
        super().__init__({"i": stream_in(real.i.payload.shape()), "o": stream_out(real.o.payload.shape())})

    def elaborate(self, platform):
        m = Module()
        so_far, made = Signal(256), Signal(256)
        i, o = self.i.payload, self.o.payload
        m.d.comb += [
            self.i.ready.eq(~self.o.valid),
            made.eq((Cat(so_far[-1], so_far[:-1]) ^ i.data) + i.kind * 64 + i.format),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                so_far.eq(Mux(i.last, 0, made)),
                self.o.valid.eq(i.last),
                o.result.eq(made),
                o.token.eq(i.token),
            ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


def combined(kind, format, slots):
    """What `Sum` makes of slots."""
    value = 0
    for slot in slots:
        value = (((value << 1 | value >> 255) & ATOM) ^ slot) + kind * 64 + format & ATOM
    return value


@pytest.fixture(autouse=True)
def sums(monkeypatch):
    monkeypatch.setattr(tree_slots, "OrderedSum", Sum)


class Bench:
    """TREEs at random, their slots read in any order, and the results that must come."""

    def __init__(self, dut, seed, *, trees, take):
        self.dut, self.rng, self.take = dut, random.Random(seed), take
        self.counts = [self.rng.choice([1, 1, 2, 3, 7, 20]) for _ in range(trees)]
        self.flying, self.wanted = [], {}  # (entry, value, bad); line -> value, bad
        self.free = list(range(LINES))
        self.line, self.kind, self.format = 0, ReduceKind.SUM, ReduceFormat.FP32
        self.slots, self.left, self.lost = [], 0, False
        self.got, self.full = 0, False

    async def step(self, ctx):
        dut = self.dut
        begins = not self.left and self.counts and self.free and self.rng.random() < 0.7
        ctx.set(dut.begin.valid, bool(begins))
        self.accept(ctx)
        if begins:
            self.line = self.free.pop(self.rng.randrange(len(self.free)))
            self.kind = self.rng.choice([ReduceKind.SUM, ReduceKind.MAX, ReduceKind.MIN])
            self.format = self.rng.choice(list(ReduceFormat))
            self.slots, self.lost, self.left = [], False, self.counts.pop()
            ctx.set(dut.begin, {"valid": 1, "line": self.line, "kind": self.kind, "format": self.format})
        self.result(ctx)
        await ctx.tick()
        assert ctx.get(dut.idle) == (len(self.free) == LINES)

    def accept(self, ctx):
        """Perhaps a slot's read is accepted, perhaps the atom of another one comes."""
        dut, rng = self.dut, self.rng
        ready = list(self.flying)
        takes = self.left > 0 and ctx.get(dut.room) and rng.random() < 0.8
        self.full |= not ctx.get(dut.room)
        ctx.set(dut.taken, takes)
        ctx.set(dut.last, self.left == 1)
        if takes:
            value, bad = rng.getrandbits(256), rng.random() < 0.05
            self.flying.append((ctx.get(dut.entry), value, bad))
            self.slots.append(value)
            self.lost |= bad
            self.left -= 1
            if not self.left:
                self.wanted[self.line] = combined(self.kind, self.format, self.slots), self.lost
        ctx.set(dut.data, {"valid": 0, "data": rng.getrandbits(256)})
        if ready and rng.random() < 0.7:
            entry, value, bad = chosen = rng.choice(ready)
            self.flying.remove(chosen)
            ctx.set(dut.data, {"valid": 1, "entry": entry, "bad": bad, "data": value})

    def result(self, ctx):
        """Perhaps a result is taken."""
        ctx.set(self.dut.result.ready, self.rng.random() < self.take)
        if ctx.get(self.dut.result.valid) and ctx.get(self.dut.result.ready):
            result = ctx.get(self.dut.result.payload)
            value, lost = self.wanted.pop(result["line"])
            assert (result["data"], bool(result["bad"])) == (value, lost)
            self.free.append(result["line"])
            self.got += 1


@pytest.mark.parametrize("places", [2, 5, 16])
@pytest.mark.parametrize("take", [1.0, 0.2])
def test_random(places, take, seed):
    dut = TreeSlots(lines=LINES, slots=places)
    bench = Bench(dut, seed, trees=30, take=take)

    async def process(ctx):
        for _ in range(20_000):
            await bench.step(ctx)
            if bench.got == 30:
                break

    simulate(dut, process)
    assert bench.got == 30
    assert not bench.flying
    assert bench.full or places == 16


def test_throughput():
    """A slot a cycle goes through the ring, which need not be longer than the way of a slot."""
    dut = TreeSlots(lines=LINES, slots=8)

    async def bench(ctx):
        ctx.set(dut.begin, {"valid": 1, "line": 3, "kind": ReduceKind.SUM, "format": ReduceFormat.FP32})
        await ctx.tick()
        ctx.set(dut.begin.valid, 0)
        ctx.set(dut.taken, 1)
        before = None
        for _ in range(60):
            assert ctx.get(dut.room)
            entry = ctx.get(dut.entry)
            ctx.set(dut.data, {"valid": before is not None, "entry": before or 0, "bad": 0, "data": 1})
            before = entry
            await ctx.tick()

    simulate(dut, bench)


def test_properties():
    dut = TreeSlots(lines=3, slots=9)
    assert (dut.lines, dut.slots) == (3, 9)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"lines": 1, "slots": 4}, ValueError, "Tree slots lines must be at least 2, not 1"),
        ({"lines": 4, "slots": 1}, ValueError, "Tree slots places must be at least 2, not 1"),
        ({"lines": 4, "slots": "4"}, TypeError, "Tree slots places must be an integer, not '4'"),
    ],
)
def test_parameters_wrong(parameters, error, message):
    with pytest.raises(error, match=message):
        TreeSlots(**parameters)

# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Near-memory unit: every update once, in order per atom, on what lies in memory, whatever is combined when.

The arithmetic is replaced by one that shows every change of order: see `Lanes`. The real one has its own tests.
"""

import itertools
import random
from collections import Counter, deque
from typing import Any

import pytest
from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.core.arith import delay
from hdl.hbm import near_memory
from hdl.hbm.near_memory import NearMemory
from hdl.hbm.reduce_format import ReduceFormat, ReduceKind
from hdl.hbm.reduce_lanes import ReduceLanes

from ..pysim import simulate
from .parts import GEOMETRY

ALL = (1 << 32) - 1
ATOM = (1 << 256) - 1


class Lanes(wiring.Component):
    """In place of the lanes: bytes that are enabled are copied; all other kinds rotate the atom and flip bits."""

    latency = 3

    def __init__(self, *, token_bits):
        real = ReduceLanes(token_bits=token_bits)
        super().__init__(
            {
                "i": In(data.StructLayout(dict(real.i.shape().members))),
                "o": Out(data.StructLayout(dict(real.o.shape().members))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        i = self.i
        copied = Cat(
            Mux(i.mask[byte], i.operand.word_select(byte, 8), i.memory.word_select(byte, 8)) for byte in range(32)
        )
        rotated = Cat(i.memory[-1], i.memory[:-1]) ^ i.operand
        result = Mux(i.kind == ReduceKind.COPY, copied, rotated)
        m.d.comb += [
            self.o.result.eq(delay(m, result, self.latency, name="result")),
            self.o.token.eq(delay(m, i.token, self.latency, name="token", reset_less=False)),
        ]
        return m


def change(value, kind, mask, operand):
    """What `Lanes` makes of an atom."""
    if kind == ReduceKind.COPY:
        enabled = sum(255 << 8 * byte for byte in range(32) if mask >> byte & 1)
        return (value & ~enabled) | (operand & enabled)
    return ((value << 1 | value >> 255) & ATOM) ^ operand


@pytest.fixture(autouse=True)
def lanes(monkeypatch):
    monkeypatch.setattr(near_memory, "ReduceLanes", Lanes)


class Bench:
    """A memory behind the unit that takes fetches and stores when it likes, and what the atoms must be.

    chances: that an update is offered, a fetch is taken, a store is taken, someone waits for an atom
    """

    def __init__(self, dut, seed, *, atoms=6, lost=0.0, offer=0.8, fetch=0.7, store=0.7, wait=0.1):
        self.dut, self.rng = dut, random.Random(seed)
        self.chances = {"offer": offer, "fetch": fetch, "store": store, "wait": wait}
        places = [(index, row, column) for index in range(8) for row in range(2) for column in range(2)]
        self.atoms = self.rng.sample(places, atoms)
        self.memory = {place: self.rng.getrandbits(256) for place in self.atoms}
        self.lost = {place for place in self.atoms if self.rng.random() < lost}
        self.expected, self.poison = dict(self.memory), set()
        self.flying: deque[Any] = deque()  # (cycle, line, place)
        self.counts: Counter[str] = Counter()
        self.cycle = 0
        self.offered = self.waiting = None
        self.left = []  # (cycle, place) of stores

    def draw(self):
        """An update at random."""
        kind = self.rng.choice([ReduceKind.COPY, ReduceKind.SUM])
        mask = self.rng.choice([0, ALL, self.rng.getrandbits(32)])
        return self.rng.choice(self.atoms), kind, mask, self.rng.getrandbits(256)

    async def step(self, ctx):
        dut, rng, chances = self.dut, self.rng, self.chances
        if self.offered is None and rng.random() < chances["offer"]:
            self.offered = self.draw()
        ctx.set(dut.update.valid, self.offered is not None)
        if self.offered:
            place, kind, mask, operand = self.offered
            ctx.set(
                dut.update.payload,
                {"place": fields(place), "kind": kind, "format": ReduceFormat.FP32, "mask": mask, "data": operand},
            )
        if self.waiting is None and rng.random() < chances["wait"]:
            self.waiting = rng.choice(self.atoms)
        looked = self.waiting or rng.choice(self.atoms)
        ctx.set(dut.lookup, fields(looked))
        ctx.set(dut.waits, self.waiting is not None)
        self.give(ctx)
        ctx.set(dut.fetched, ctx.get(dut.fetch_valid) and rng.random() < chances["fetch"])
        ctx.set(dut.stored, ctx.get(dut.store_valid) and rng.random() < chances["store"])
        holds = bool(ctx.get(dut.holds))
        if self.waiting is not None and not holds:
            # a read here would see all updates that were accepted before
            assert self.memory[looked] == self.expected[looked] or looked in self.poison
            self.counts["waited"] += 1
            self.waiting = None
        self.take(ctx)
        await ctx.tick()
        self.cycle += 1

    def give(self, ctx):
        """Data of the fetch that is due."""
        arrives = bool(self.flying) and self.flying[0][0] <= self.cycle and self.rng.random() < 0.9
        value = {"valid": 0, "line": 0, "bad": 0, "data": self.rng.getrandbits(256)}
        if arrives:
            _, line, place = self.flying.popleft()
            value = {"valid": 1, "line": line, "bad": place in self.lost, "data": self.memory[place]}
        ctx.set(self.dut.data, value)

    def take(self, ctx):
        """What is accepted in this cycle."""
        dut = self.dut
        self.counts["combined"] += ctx.get(dut.combined)
        if ctx.get(dut.fetched):
            place = place_of(ctx.get(dut.fetch.place))
            self.flying.append((self.cycle + self.rng.randint(2, 6), ctx.get(dut.fetch.line), place))
            self.counts["fetched"] += 1
        if ctx.get(dut.stored):
            store = ctx.get(dut.store)
            place = place_of(store["place"])
            assert bool(store["poison"]) == (place in self.lost)
            self.memory[place] = store["data"]
            if store["poison"]:
                self.poison.add(place)
            self.left.append((self.cycle, place))
            self.counts["stored"] += 1
        if self.offered and ctx.get(dut.update.ready):
            place, kind, mask, operand = self.offered
            self.expected[place] = change(self.expected[place], kind, mask, operand)
            self.counts["updates"] += 1
            self.offered = None

    def finish(self):
        """All atoms are what their updates made of them."""
        for place in self.atoms:
            assert place in self.poison or self.memory[place] == self.expected[place]
        assert not self.flying
        assert self.counts["fetched"] == self.counts["stored"]
        assert self.counts["updates"] == self.counts["fetched"] + self.counts["combined"]


def fields(place):
    """A place as the fields of its struct."""
    return dict(zip(("index", "row", "column"), place, strict=True))


def place_of(view):
    return view["index"], view["row"], view["column"]


def play(seed, *, cycles=600, lines=4, window=10, **options):
    """A bench after random traffic and the time to settle."""
    dut = NearMemory(geometry=GEOMETRY, lines=lines, window=window)
    bench = Bench(dut, seed, **options)

    async def process(ctx):
        for _ in range(cycles):
            await bench.step(ctx)
        bench.chances.update(offer=0.0, wait=0.0)
        for _ in range(40 * lines + window):
            await bench.step(ctx)
        assert ctx.get(dut.idle)

    simulate(dut, process)
    bench.finish()
    return bench


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"atoms": 1, "offer": 1.0, "wait": 0.0},
        {"atoms": 2, "offer": 1.0, "store": 0.2},
        {"atoms": 20, "fetch": 0.3},
        {"atoms": 3, "wait": 0.8},
        {"atoms": 8, "lines": 2, "offer": 1.0, "fetch": 1.0, "store": 1.0, "wait": 0.0},
        {"atoms": 5, "offer": 0.1, "window": 1},
        {"atoms": 10, "lines": 7, "lost": 0.0, "fetch": 0.1, "store": 0.1},
    ],
    ids=["mixed", "one atom", "slow stores", "slow fetches", "waited for", "two lines", "rare", "slow memory"],
)
def test_random(options, seed):
    bench = play(seed, **options)
    assert bench.counts["updates"] > 40
    assert bench.counts["stored"] > 10 or options.get("atoms") == 1
    if options.get("wait", 0.1):
        assert bench.counts["waited"] > 10


def test_lost_atoms_are_written_back_as_poison(seed):
    """Whatever is done to an atom that could not be read, it is poison; the others are not touched by that."""
    bench = play(seed, atoms=8, lost=0.5)
    assert bench.poison == bench.lost
    assert 0 < len(bench.lost) < 8


def test_combining():
    """Updates of one atom are applied in the line: one fetch, one store, after `window` quiet cycles."""
    window = 20
    dut = NearMemory(geometry=GEOMETRY, lines=4, window=window)
    bench = Bench(dut, 1, atoms=1, offer=1.0, fetch=1.0, store=1.0, wait=0.0)
    last = 0

    async def process(ctx):
        nonlocal last
        while bench.counts["updates"] < 30:
            await bench.step(ctx)
        last = bench.cycle
        bench.chances["offer"] = 0.0
        bench.offered = None
        for _ in range(2 * window):
            await bench.step(ctx)

    simulate(dut, process)
    bench.finish()
    assert (bench.counts["fetched"], bench.counts["stored"], bench.counts["combined"]) == (1, 1, 29)
    assert window <= bench.left[0][0] - last <= window + 5


def test_throughput():
    """An update a cycle of different atoms; of one atom one every `latency` + 2 cycles."""
    dut = NearMemory(geometry=GEOMETRY, lines=16, window=50)

    async def process(ctx):
        place = {"index": 1, "row": 0, "column": 0}
        base = {"kind": ReduceKind.SUM, "format": ReduceFormat.FP32, "mask": ALL, "data": 1}
        ctx.set(dut.update.valid, 1)
        for row in range(8):
            ctx.set(dut.update.payload, base | {"place": place | {"row": row}})
            assert ctx.get(dut.update.ready), "a new atom a cycle"
            await ctx.tick()
        ctx.set(dut.update.valid, 0)
        ctx.set(dut.fetched, 1)
        await ctx.tick().repeat(10)
        ctx.set(dut.data, {"valid": 1, "line": 0, "bad": 0, "data": 5})
        await ctx.tick()
        ctx.set(dut.data.valid, 0)
        ctx.set(dut.update.payload, base | {"place": place})
        ctx.set(dut.update.valid, 1)
        taken = []
        for cycle in range(60):
            if ctx.get(dut.update.ready):
                taken.append(cycle)
            await ctx.tick()
        gaps = {after - before for before, after in itertools.pairwise(taken)}
        assert gaps == {Lanes.latency + 2}

    simulate(dut, process)


def test_different_atoms_do_not_wait_for_one_that_is_not_fetched():
    """Each cycle the fetch of another line is offered."""
    dut = NearMemory(geometry=GEOMETRY, lines=4)

    async def process(ctx):
        ctx.set(dut.update.valid, 1)
        for row in range(3):
            payload = {"place": {"index": 0, "row": row, "column": 0}, "kind": 1, "format": 0, "mask": ALL, "data": 0}
            ctx.set(dut.update.payload, payload)
            await ctx.tick()
        ctx.set(dut.update.valid, 0)
        offered = []
        for _ in range(6):
            offered.append(ctx.get(dut.fetch.place.row))
            await ctx.tick()
        assert set(offered[:3]) == set(offered[3:]) == {0, 1, 2}

    simulate(dut, process)


def test_properties():
    dut = NearMemory(geometry=GEOMETRY, lines=5, window=7)
    assert (dut.geometry, dut.lines, dut.window) == (GEOMETRY, 5, 7)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"lines": 1}, ValueError, "Near-memory lines must be at least 2, not 1"),
        ({"lines": "4"}, TypeError, "Near-memory lines must be an integer, not '4'"),
        ({"window": 0}, ValueError, "Near-memory window must be at least 1, not 0"),
        ({"window": 1.5}, TypeError, r"Near-memory window must be an integer, not 1\.5"),
    ],
)
def test_parameters_wrong(parameters, error, message):
    with pytest.raises(error, match=message):
        NearMemory(geometry=GEOMETRY, **parameters)

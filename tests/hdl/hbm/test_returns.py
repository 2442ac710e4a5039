# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Returns: every read's data, corrected, to where it was asked for; room is never promised twice."""

import random
from collections import deque
from typing import Any

import numpy as np
import pytest

from golden import ecc
from hdl.hbm.commands import Status
from hdl.hbm.port import MemoryPort
from hdl.hbm.returns import TIME_BITS, Returns, origin_layout
from mtia.hbm_ecc import CHECK_BITS, DATA_BITS

from ..pysim import simulate
from .parts import GEOMETRY

PORT = MemoryPort.of(GEOMETRY, tag_bits=8)
LINES, SLOTS = 4, 6
#: cycles from a read to its data at the pins
DEVICE = 7


def encoded(value, *, poison=False):
    """Check bits of an atom."""
    return int(ecc.encode(np.frombuffer(value.to_bytes(32, "little"), np.uint8)[None], poison=poison)[0])


def stored(rng):
    """A random word (data, check) as it might be stored, with its right data and its status."""
    value = rng.getrandbits(DATA_BITS)
    check = encoded(value)
    kind = rng.choice([*ecc.Status, ecc.Status.OK])
    if kind == ecc.Status.POISON:
        return value, encoded(value, poison=True), value, Status.POISON
    flips = {ecc.Status.OK: 0, ecc.Status.CORRECTED: 1, ecc.Status.UNCORRECTABLE: 2}[kind]
    word = value | check << DATA_BITS
    for bit in rng.sample(range(DATA_BITS + CHECK_BITS), flips):
        word ^= 1 << bit
    seen = word & (1 << DATA_BITS) - 1
    return seen, word >> DATA_BITS, seen if flips == 2 else value, Status(int(kind))


class Bench:
    """Reads, their data after `DEVICE` cycles, acknowledgements, and what came of all."""

    def __init__(self, dut, seed, *, issuing, acknowledging, taking):
        self.dut, self.rng = dut, random.Random(seed)
        self.chances = issuing, acknowledging, taking
        self.flying: deque[Any] = deque()  # (cycle, origin, word)
        self.reads: deque[Any] = deque()
        self.near: deque[Any] = deque()
        self.slots: deque[Any] = deque()
        self.scrubs: deque[Any] = deque()
        self.counts = [0, 0, 0]
        self.acknowledged: deque[Any] = deque()
        self.arrivals: deque[int] = deque()
        self.cycle, self.issued, self.full = 0, 0, 0
        self.latencies = set()
        self.pending_issue = None

    async def step(self, ctx):
        dut, rng = self.dut, self.rng
        self.drive(ctx)
        acknowledge = None
        if rng.random() < self.chances[1]:
            acknowledge = rng.getrandbits(8), rng.choice([Status.OK, Status.ADDRESS])
            ctx.set(dut.acknowledge.payload, {"tag": acknowledge[0], "status": acknowledge[1]})
        ctx.set(dut.acknowledge.valid, acknowledge is not None)
        ctx.set(dut.response.ready, rng.random() < self.chances[2])
        if acknowledge and ctx.get(dut.acknowledge.ready):
            self.acknowledged.append(acknowledge)
        self.sample(ctx)
        await ctx.tick()
        self.cycle += 1

    def drive(self, ctx):
        """What was decided in the last cycle is issued; data of a read comes."""
        dut, rng = self.dut, self.rng
        origin = self.pending_issue
        to, name, place = origin or ("port", 0, {})
        fields: dict[str, Any] = {"near": to == "near", "slot": to == "slot", "name": name, "place": place}
        fields["arrived"] = self.issued % (1 << TIME_BITS)
        ctx.set(dut.issued, {"valid": origin is not None, "origin": fields})
        ctx.set(dut.now, self.cycle % (1 << TIME_BITS))
        if origin is not None:
            self.flying.append((self.cycle + DEVICE, origin, stored(rng)))
            if origin[0] == "port":
                self.arrivals.append(self.issued)
            self.issued += 1
        room = ctx.get(dut.room)
        self.full += not room
        self.pending_issue = None
        if room and rng.random() < self.chances[0]:
            place = {"index": rng.randrange(8), "row": rng.randrange(16), "column": rng.randrange(8)}
            to = rng.choice(["port", "port", "near", "slot"])
            self.pending_issue = to, rng.randrange({"port": 256, "near": LINES, "slot": SLOTS}[to]), place
        arrives = bool(self.flying) and self.flying[0][0] == self.cycle
        ctx.set(dut.read_valid, arrives)
        data, check = rng.getrandbits(256), rng.getrandbits(10)
        if arrives:
            _, (to, name, place), (data, check, value, status) = self.flying.popleft()
            {"port": self.reads, "near": self.near, "slot": self.slots}[to].append((self.cycle, name, status, value))
            self.scrubs.append((self.cycle, place if status == Status.CORRECTED and to != "near" else None))
            self.counts[0] += status == Status.CORRECTED
            self.counts[1] += status == Status.UNCORRECTABLE
            self.counts[2] += status == Status.POISON
        ctx.set(dut.read_data, data)
        ctx.set(dut.read_check, check)

    def sample(self, ctx):
        """Everything that leaves in this cycle."""
        dut = self.dut
        if ctx.get(dut.near.valid):
            cycle, line, status, value = self.near.popleft()
            lost = status in (Status.POISON, Status.UNCORRECTABLE)
            assert (ctx.get(dut.near.line), ctx.get(dut.near.bad)) == (line, lost)
            assert lost or ctx.get(dut.near.data) == value
            self.latencies.add(("near", self.cycle - cycle))
        if ctx.get(dut.slot.valid):
            cycle, entry, status, value = self.slots.popleft()
            lost = status in (Status.POISON, Status.UNCORRECTABLE)
            assert (ctx.get(dut.slot.entry), ctx.get(dut.slot.bad)) == (entry, lost)
            assert lost or ctx.get(dut.slot.data) == value
            self.latencies.add(("slot", self.cycle - cycle))
        if self.scrubs and self.cycle == self.scrubs[0][0] + 2:
            _, place = self.scrubs.popleft()
            assert bool(ctx.get(dut.scrub.valid)) == (place is not None)
            if place is not None:
                assert {name: ctx.get(dut.scrub.place)[name] for name in place} == place
        else:
            assert not ctx.get(dut.scrub.valid)
        self.counts[0] -= ctx.get(dut.corrected)
        self.counts[1] -= ctx.get(dut.uncorrected)
        self.counts[2] -= ctx.get(dut.poisoned)
        if ctx.get(dut.latency.valid):  # told in the cycle before the response is offered
            assert ctx.get(dut.latency.cycles) == (self.cycle + 1 - self.arrivals.popleft()) % (1 << TIME_BITS)
        if ctx.get(dut.response.valid) and ctx.get(dut.response.ready):
            payload = ctx.get(dut.response.payload)
            self.respond(payload["tag"], payload["status"], payload["data"])

    def respond(self, tag, status, data):
        """A response is that of the oldest read or of the oldest acknowledgement."""
        if self.reads and (tag, status) == self.reads[0][1:3] and data == self.reads[0][3]:
            self.latencies.add(("read", self.cycle - self.reads.popleft()[0]))
        else:
            assert self.acknowledged, (tag, status)
            assert (tag, status) == self.acknowledged.popleft()


@pytest.mark.parametrize(
    "chances",
    [
        {"issuing": 1.0, "acknowledging": 0.0, "taking": 1.0},
        {"issuing": 0.5, "acknowledging": 0.5, "taking": 1.0},
        {"issuing": 1.0, "acknowledging": 0.9, "taking": 0.3},
        {"issuing": 0.9, "acknowledging": 0.1, "taking": 0.05},
    ],
    ids=["reads", "both", "full", "rarely taken"],
)
def test_random(chances, seed):
    """All data arrives once, in order, with its status; however slowly it is taken nothing is lost."""
    dut = Returns(geometry=GEOMETRY, port=PORT, lines=LINES, slots=SLOTS, depth=12)
    bench = Bench(dut, seed, **chances)

    async def process(ctx):
        for _ in range(700):
            await bench.step(ctx)
        bench.chances = 0.0, 0.0, 1.0
        for _ in range(80):
            await bench.step(ctx)

    simulate(dut, process)
    assert (len(bench.reads), len(bench.near), len(bench.slots), bench.counts) == (0, 0, 0, [0, 0, 0])
    assert not bench.acknowledged
    assert not bench.arrivals
    assert bench.issued > 100 * chances["taking"]
    assert {cycles for kind, cycles in bench.latencies if kind in ("near", "slot")} == {2}
    assert min(cycles for kind, cycles in bench.latencies if kind == "read") >= 3
    if chances["taking"] < 1:
        assert bench.full > 300
    if chances == {"issuing": 1.0, "acknowledging": 0.0, "taking": 1.0}:
        assert {cycles for kind, cycles in bench.latencies if kind == "read"} == {3}
        assert bench.issued > 650  # one a cycle: 12 places cover the way of the data


def test_room_is_for_all_that_are_on_their_way():
    """Without a response taken, at most `depth` reads are issued, and nearly as many."""
    depth = 9
    dut = Returns(geometry=GEOMETRY, port=PORT, lines=LINES, slots=SLOTS, depth=depth)
    bench = Bench(dut, 1, issuing=1.0, acknowledging=0.0, taking=0.0)

    async def process(ctx):
        for _ in range(100):
            await bench.step(ctx)

    simulate(dut, process)
    assert bench.issued >= depth - 1
    assert depth - 1 <= len(bench.reads) <= depth  # those of the near-memory unit take no room once they are there
    assert len(bench.flying) == len(bench.near) == 0


def test_properties():
    layout = origin_layout(GEOMETRY, PORT, LINES, SLOTS)
    assert list(layout.members)[:4] == ["near", "slot", "name", "place"]
    assert layout["name"].width == 8
    assert origin_layout(GEOMETRY, MemoryPort.of(GEOMETRY, tag_bits=1), 64, 9)["name"].width == 6
    dut = Returns(geometry=GEOMETRY, port=PORT, lines=LINES, slots=SLOTS, depth=5)
    assert (dut.geometry, dut.port, dut.lines, dut.slots, dut.depth) == (GEOMETRY, PORT, LINES, SLOTS, 5)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"lines": 1, "slots": 4}, ValueError, "Returns lines must be at least 2, not 1"),
        ({"lines": 2.0, "slots": 4}, TypeError, r"Returns lines must be an integer, not 2\.0"),
        ({"lines": 4, "slots": 1}, ValueError, "Returns slots must be at least 2, not 1"),
        ({"lines": 4, "slots": 4, "depth": 3}, ValueError, "Returns depth must be at least 4, not 3"),
        ({"lines": 4, "slots": 4, "depth": None}, TypeError, "Returns depth must be an integer, not None"),
    ],
)
def test_parameters_wrong(parameters, error, message):
    with pytest.raises(error, match=message):
        Returns(geometry=GEOMETRY, port=PORT, **parameters)

# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Scheduler without data: every request becomes one column command of its open row, in order for each atom."""

import random
from collections import deque
from typing import Any

import pytest

from hdl.hbm.commands import MaintainOp, RefreshMode
from hdl.hbm.mode import Batching
from hdl.hbm.pseudo_channel import PoolSizes
from hdl.hbm.scheduler import Scheduler

from ..pysim import simulate
from .parts import GEOMETRY, SHORT

BATCHING = Batching(high=3, prepare=1, patience=60)


class Bench:
    """Requests in, the row bus granted at random, and the rows that the commands leave open."""

    def __init__(self, dut: Scheduler, seed: int, *, atoms: int, granted: float):
        self.dut, self.random, self.granted = dut, random.Random(seed), granted
        places = [(index, row, column) for index in range(8) for row in range(3) for column in range(2)]
        self.atoms = self.random.sample(places, atoms)
        self.open: dict[int, int] = {}
        #: (write, slot) of what waits for each atom, in order
        self.waiting: dict[Any, deque[Any]] = {place: deque() for place in self.atoms}
        self.offered: Any = None
        self.taken = self.issued = 0

    async def step(self, ctx: Any, *, offering: bool) -> None:
        dut = self.dut
        if self.offered is None and offering and self.random.random() < 0.8:
            self.offered = self.random.random() < 0.5, self.random.choice(self.atoms)
        ctx.set(dut.request.valid, self.offered is not None)
        if self.offered:
            place = dict(zip(("index", "row", "column"), self.offered[1], strict=True))
            ctx.set(dut.request.payload, {"write": self.offered[0], "place": place})
        ctx.set(dut.read_room, self.random.random() < 0.8)
        ctx.set(dut.act_granted, ctx.get(dut.act.valid) and self.random.random() < self.granted)
        asked = ctx.get(dut.maintain.op) != MaintainOp.NOP
        ctx.set(dut.maintain_granted, asked and self.random.random() < self.granted)
        self.column(ctx)
        self.rows(ctx)
        if self.offered and ctx.get(dut.request.ready):
            write, place = self.offered
            assert write or not any(each for each, _ in self.waiting[place]), "a read passes a write"
            assert not (write and self.waiting[place]), "a write passes what waits for its atom"
            self.waiting[place].append((write, ctx.get(dut.slot)))
            self.offered = None
            self.taken += 1
        await ctx.tick()

    def column(self, ctx: Any) -> None:
        """The column command of this cycle is one of a request that waits, its row open."""
        command = ctx.get(self.dut.column)
        if not command["valid"]:
            return
        place = tuple(command["place"][name] for name in ("index", "row", "column"))
        assert self.open[place[0]] == place[1]
        self.waiting[place].remove((bool(command["write"]), command["slot"]))
        assert command["write"] or ctx.get(self.dut.read_room)
        self.issued += 1

    def rows(self, ctx: Any) -> None:
        """Row commands of this cycle: ACT of a closed bank, refresh of closed ones."""
        if ctx.get(self.dut.act_granted):
            index = ctx.get(self.dut.act.index)
            assert index not in self.open
            self.open[index] = ctx.get(self.dut.act.row)
        if not ctx.get(self.dut.maintain_granted):
            return
        op, index = ctx.get(self.dut.maintain.op), ctx.get(self.dut.maintain.index)
        if op == MaintainOp.PRE:
            del self.open[index]
        elif op == MaintainOp.PREA:
            self.open.clear()
        elif op == MaintainOp.REFAB:
            assert not self.open
        else:
            assert index not in self.open


@pytest.mark.parametrize(
    ("mode", "atoms", "granted"),
    [
        (RefreshMode.OFF, 5, 1.0),
        (RefreshMode.PER_BANK, 20, 0.5),
        (RefreshMode.ALL_BANK, 12, 0.8),
    ],
)
def test_every_request_once(mode, atoms, granted, seed):
    dut = Scheduler(geometry=GEOMETRY, cycles=SHORT, entries=4, batching=BATCHING, patience_bits=5)
    bench = Bench(dut, seed, atoms=atoms, granted=granted)

    async def process(ctx):
        ctx.set(dut.refresh_mode, mode)
        for _ in range(500):
            await bench.step(ctx, offering=True)
        for _ in range(400):
            await bench.step(ctx, offering=False)
        assert ctx.get(dut.idle)

    simulate(dut, process)
    assert bench.taken == bench.issued > 25
    assert not any(bench.waiting.values())


def test_properties():
    dut = Scheduler(geometry=GEOMETRY, cycles=SHORT, entries=4, batching=BATCHING, patience_bits=5)
    assert (dut.geometry, dut.cycles, dut.entries) == (GEOMETRY, SHORT, 4)
    assert (dut.batching, dut.patience_bits) == (BATCHING, 5)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"entries": 1}, ValueError, "Scheduler entries must be at least 2, not 1"),
        ({"entries": "4"}, TypeError, "Scheduler entries must be an integer, not '4'"),
        ({"entries": 4, "patience_bits": 0}, ValueError, "Scheduler patience bits must be in 1 to 24, not 0"),
        ({"entries": 4, "patience_bits": 25}, ValueError, "Scheduler patience bits must be in 1 to 24, not 25"),
        ({"entries": 4, "patience_bits": 1.5}, TypeError, r"Scheduler patience bits must be an integer, not 1\.5"),
    ],
)
def test_scheduler_wrong(values, error, message):
    with pytest.raises(error, match=message):
        Scheduler(geometry=GEOMETRY, cycles=SHORT, batching=BATCHING, **values)


@pytest.mark.parametrize(("name", "least"), [("entries", 4), ("lines", 2), ("responses", 8)])
def test_sizes_wrong(name, least):
    with pytest.raises(ValueError, match=f"Pool sizes {name} must be at least {least}, not {least - 1}"):
        PoolSizes(**{name: least - 1})
    with pytest.raises(TypeError, match=f"Pool sizes {name} must be an integer, not None"):
        PoolSizes(**{name: None})  # type: ignore[arg-type]  # what the test is about

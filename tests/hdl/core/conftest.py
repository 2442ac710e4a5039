"""A bench for components whose ports are streams: random waits on both sides, and the rules watched."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from amaranth.hdl import ClockDomain, Module, Value
from amaranth.sim import Simulator


class StreamBench:
    """Drives, drains and watches the streams of one component in Amaranth's simulator.

    ``source`` and ``sink`` take the share of cycles in which they are willing. Every stream given to either is
    watched: a payload that is offered stays as it is until it is taken.
    """

    def __init__(self, dut: Any, seed: int):
        self.random = random.Random(seed)
        self.cycles = 0
        top = Module()
        top.domains.sync = ClockDomain()  # some components are combinational
        top.submodules.dut = dut
        self._simulator = Simulator(top)
        self._simulator.add_clock(1e-6)
        self._pending: list[tuple[list[int], int]] = []

    def source(self, stream: Any, items: Sequence[int], *, willing: float = 1.0) -> None:
        """Offers ``items`` (bits) one after the other."""

        async def drive(ctx):
            for item in items:
                while self.random.random() >= willing:
                    await ctx.tick()
                ctx.set(Value.cast(stream.payload), item)
                ctx.set(stream.valid, 1)
                await ctx.tick().until(stream.ready)
                ctx.set(stream.valid, 0)
                ctx.set(Value.cast(stream.payload), self.random.getrandbits(len(Value.cast(stream.payload))))

        self._simulator.add_testbench(drive, background=True)

    def sink(self, stream: Any, count: int, *, willing: float = 1.0) -> list[int]:
        """Takes items until there are ``count``; the list returned fills as the bench runs."""
        items: list[int] = []
        self._pending.append((items, count))

        async def drain(ctx):
            while True:
                ctx.set(stream.ready, self.random.random() < willing)
                _clk, _rst, valid, ready, payload = await ctx.tick().sample(
                    stream.valid, stream.ready, Value.cast(stream.payload)
                )
                if valid and ready:
                    items.append(payload)

        self._simulator.add_testbench(drain, background=True)
        self.watch(stream)
        return items

    def watch(self, stream: Any) -> None:
        """Fails the test if the stream breaks a rule."""

        async def monitor(ctx):
            offered = None
            sample = ctx.tick().sample(stream.valid, stream.ready, Value.cast(stream.payload))
            while True:
                _clk, _rst, valid, ready, payload = await sample
                if offered is not None:
                    assert valid, "an offered item was withdrawn"
                    assert payload == offered, f"an offered item changed from {offered:#x} to {payload:#x}"
                offered = payload if valid and not ready else None

        self._simulator.add_testbench(monitor, background=True)

    def add_testbench(self, process: Any) -> None:
        """Adds a further process that runs beside the others."""
        self._simulator.add_testbench(process, background=True)

    def run(self, *, limit: int = 20_000, extra: int = 20) -> None:
        """Runs until every sink has its items and ``extra`` cycles more; fails after ``limit`` cycles."""

        async def wait(ctx):
            while any(len(items) < count for items, count in self._pending):
                await ctx.tick()
                self.cycles += 1
                assert self.cycles < limit, f"{[(len(items), count) for items, count in self._pending]} items arrived"
            for _ in range(extra):
                await ctx.tick()

        self._simulator.add_testbench(wait)
        self._simulator.run()
        for items, count in self._pending:
            assert len(items) == count, f"{len(items)} items arrived, not {count}"


@pytest.fixture
def bench(seed: int) -> Callable[[Any], StreamBench]:
    """A function that puts a component on a bench."""
    return lambda dut: StreamBench(dut, seed)


@pytest.fixture
def words(seed: int) -> Callable[[int, int], list[int]]:
    """A function of (width, count) that gives random words."""
    generator = random.Random(seed + 1)
    return lambda width, count: [generator.getrandbits(width) for _ in range(count)]

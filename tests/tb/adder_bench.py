"""cocotb tests of ``Adder``, run by test_runner.py."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from tb.runner import parameters
from tb.scoreboard import Scoreboard
from tb.streams import StreamMonitor, StreamSink, StreamSource, bursts, chance, never, start

from .designs import LANES, Fault, Pair, Sum

PAUSES = {"never": never, "chance": lambda: chance(0.4), "bursts": lambda: bursts(5, 9)}


class Bench:
    """Source, sink, monitors and scoreboard around one adder."""

    def __init__(self, dut, *, pause="chance", **sink):
        self.dut = dut
        self.source = StreamSource(dut, "i", shape=Pair, pause=PAUSES[pause]())
        self.sink = StreamSink(dut, "o", shape=Sum, pause=PAUSES[pause](), **sink)
        self.monitors = [StreamMonitor(dut, "i", shape=Pair), StreamMonitor(dut, "o", shape=Sum)]
        self.board = Scoreboard("adder")

    async def run(self, count, *, fault=Fault.NONE, bias=0):
        self.dut.bias.value = bias
        self.dut.fault.value = fault.value
        await start(self.dut)
        pairs = [{name: [random.randrange(256) for _ in range(LANES)] for name in "ab"} for _ in range(count)]
        self.source.send(pairs)
        self.board.expect({"sum": [a + b + bias for a, b in zip(pair["a"], pair["b"], strict=True)]} for pair in pairs)
        for _ in range(count):
            self.board.check(await self.sink.receive(1, stall_cycles=500))
        await self.source.drain()
        self.board.finish()
        assert [monitor.transfers for monitor in self.monitors] == [count, count]


@cocotb.test()
@cocotb.parametrize(pause=list(PAUSES), bias=[0, 255])
async def right(dut, pause, bias):
    await Bench(dut, pause=pause).run(60, bias=bias)


@cocotb.test()
async def right_when_probed(dut):
    bench = Bench(dut, probe=0.5)
    await bench.run(60)
    assert bench.monitors[1].pauses > 0


@cocotb.test()
async def right_for_a_patient_sink(dut):
    await Bench(dut, pause="never", patient=True).run(60)


@cocotb.test()
async def faulty(dut):
    given = parameters()
    bench = Bench(dut, **given.get("sink", {}))
    await bench.run(60, fault=Fault[given["fault"]])


@cocotb.test()
async def tells_its_seed(dut):
    await start(dut)
    await ClockCycles(dut.clk, 2)
    raise AssertionError(f"seed {os.environ['MTIA_SEED']}, drawn {random.getrandbits(32)}")

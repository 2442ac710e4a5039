# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""Conditions on words in memory, tables of sizes, and the reads that both share."""

import itertools

import numpy as np
import pytest

from hdl.message.loads import Loads
from hdl.message.semaphore import Semaphores
from hdl.message.sizes import Sizes
from mtia.message import Comparison
from tb.lane import Lane
from tests.hdl.pysim import simulate

INTERVAL = 10
TRUE = {
    Comparison.ALWAYS: lambda a, b: True,
    Comparison.EQUAL: lambda a, b: a == b,
    Comparison.NOT_EQUAL: lambda a, b: a != b,
    Comparison.GREATER_EQUAL: lambda a, b: a >= b,
    Comparison.LESS: lambda a, b: a < b,
}


async def admit(ctx, dut, slot, comparison, value, address):
    command = {"descriptor": {"comparison": comparison, "value": value, "semaphore": address}}
    ctx.set(dut.admit, {"valid": 1, "slot": slot, "command": command})
    await ctx.tick()
    ctx.set(dut.admit, {"valid": 0})


async def answer(ctx, dut, memory, latency=3):
    """Takes one read and gives the 64 bytes; returns its address."""
    ctx.set(dut.load.ready, 1)
    await ctx.tick().until(dut.load.valid)
    address = ctx.get(dut.load.payload.address)
    ctx.set(dut.load.ready, 0)
    await ctx.tick().repeat(latency)
    data = sum(memory(address // 32 * 32 + 4 * word) << 32 * word for word in range(16))
    ctx.set(dut.loaded.payload.data, data)
    ctx.set(dut.loaded.valid, 1)


@pytest.mark.parametrize("comparison", Comparison, ids=lambda item: item.name)
def test_comparisons(comparison):
    """Unsigned, at the corners; each word of an atom."""
    dut = Semaphores(slots=2, interval=1)
    corners = (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)

    async def bench(ctx):
        for number, (word, value) in enumerate(itertools.product(corners, corners)):
            address = 0x10000 + 4 * number
            await admit(ctx, dut, 1, comparison, value, address)
            ctx.set(dut.wanted, 0b10)
            await answer(ctx, dut, lambda at, word=word, own=address: word if at == own else ~word & 0xFFFF_FFFF)
            assert ctx.get(dut.met) == 0b10 * TRUE[comparison](word, value)
            ctx.set(dut.wanted, 0)
            await ctx.tick()
            ctx.set(dut.loaded.valid, 0)
            await ctx.tick().repeat(3)

    simulate(dut, bench)


def test_nothing_spins():
    """`INTERVAL` cycles between a false word and the next read; who waits is asked for in turn."""
    dut = Semaphores(slots=3, interval=INTERVAL)
    reads = []

    async def bench(ctx):
        for slot in (0, 2):
            await admit(ctx, dut, slot, Comparison.EQUAL, 1, 64 * slot)
        ctx.set(dut.wanted, 0b101)
        for _ in range(6):
            await answer(ctx, dut, lambda at: 0, latency=1)
            await ctx.tick()
            ctx.set(dut.loaded.valid, 0)
            waited = 0
            while not ctx.get(dut.load.valid):
                await ctx.tick()
                waited += 1
            reads.append(ctx.get(dut.load.payload.address))
            assert waited >= INTERVAL

    simulate(dut, bench)
    assert reads == [128, 0] * 3


def test_sizes():
    """A miss, one read, hits for the 16 words that came; another command misses again."""
    dut = Sizes(threads=4)
    table = 0x12340 + 20  # not at the beginning of an atom

    def look(command, word):
        return {"valid": 1, "thread": 2, "command": command, "address": table + 4 * word}

    async def bench(ctx):
        ctx.set(dut.look, look(9, 0))
        await ctx.tick()
        assert not ctx.get(dut.hit)
        for command in (9, 10):
            ctx.set(dut.look, look(command, 3))
            assert not ctx.get(dut.hit)
            ctx.set(dut.want, look(command, 3))
            await ctx.tick()
            ctx.set(dut.want, {"valid": 0})
            await answer(ctx, dut, lambda at, command=command: at * command & 0xFFFF_FFFF)
            assert ctx.get(dut.sized.valid)
            assert ctx.get(dut.sized.thread) == 2
            assert ctx.get(dut.asked.valid)
            await ctx.tick()
            ctx.set(dut.loaded.valid, 0)
            assert not ctx.get(dut.asked.valid)
            kept = (table + 12) // 32 * 32
            for word in range(40):
                address = table + 4 * word
                ctx.set(dut.look, look(command, word))
                assert bool(ctx.get(dut.hit)) == (kept <= address < kept + 64)
                if kept <= address < kept + 64:
                    assert ctx.get(dut.word) == address * command & 0xFFFF_FFFF
            ctx.set(dut.look, {**look(command, 3), "thread": 1})
            assert not ctx.get(dut.hit)

    simulate(dut, bench)


@pytest.mark.sim
def test_loads(seed):
    """Each asker gets its own, in order."""
    lane = Lane(Loads(inputs=2), name="loads")
    for index in range(2):
        lane.push(f"i__{index}", {"address": np.arange(50) * 64 + index})
    while lane.waiting("o__0") + lane.waiting("o__1") < 100:
        lane.run(cycles=2, pauses={"load": 0.4, "o__0": 0.5, "i__1": 0.3}, seed=seed + lane.cycles)
        addresses = lane.pull_fields("load")["address"]
        if len(addresses):
            lane.push("loaded", {"data": np.repeat(addresses[:, None], 16, axis=1)})
        assert lane.cycles < 5000
    for index in range(2):
        assert lane.pull_fields(f"o__{index}")["data"][:, 0].tolist() == [64 * n + index for n in range(50)]


@pytest.mark.parametrize(
    ("build", "parameters", "words"),
    [
        (Semaphores, {"slots": 1, "interval": 1}, r"^Command slots must be in 2 to 16, not 1$"),
        (Semaphores, {"slots": 2, "interval": 0}, r"^Semaphore interval must be at least 1, not 0$"),
        (Sizes, {"threads": 3}, r"^Threads must be in 4 to 16, not 3$"),
        (Loads, {"inputs": 1}, r"^Loads inputs must be at least 2, not 1$"),
    ],
)
def test_wrong_parameters(build, parameters, words):
    with pytest.raises(ValueError, match=words):
        build(**parameters)

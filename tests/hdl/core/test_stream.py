# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Skid, Fork and Join: order, data, rules, speed and independence of the two sides."""

import pytest
from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.sim import Simulator

from hdl.core.stream import Fork, Join, Skid

SHARES = [(1.0, 1.0), (1.0, 0.4), (0.4, 1.0), (0.5, 0.5)]
COUNT = 300


class Pair(data.Struct):
    """Two unequal fields."""

    a: unsigned(5)
    b: unsigned(9)


@pytest.mark.parametrize(("offer", "take"), SHARES)
def test_skid_keeps_order_and_data(bench, words, offer, take):
    dut = Skid(shape=Pair)
    items = words(14, COUNT)
    run = bench(dut)
    run.source(dut.i, items, willing=offer)
    result = run.sink(dut.o, COUNT, willing=take)
    run.run()
    assert result == items
    if (offer, take) == (1.0, 1.0):
        assert run.cycles == COUNT + 1  # one item a cycle after one cycle


def test_skid_cuts_both_paths():
    dut = Skid(shape=8)

    async def bench(ctx):
        assert ctx.get(dut.i.ready) == 1
        ctx.set(dut.i.valid, 1)
        assert ctx.get(dut.o.valid) == 0  # valid is registered
        await ctx.tick().repeat(2)
        assert ctx.get(dut.i.ready) == 0  # two items inside
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.i.ready) == 0  # ready is registered
        await ctx.tick()
        assert ctx.get(dut.i.ready) == 1

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(("offer", "take"), SHARES)
def test_fork_gives_every_item_to_every_output(bench, words, offer, take):
    dut = Fork(shape=8, outputs=3)
    items = words(8, COUNT)
    run = bench(dut)
    run.source(dut.i, items, willing=offer)
    results = [run.sink(output, COUNT, willing=take) for output in dut.o]
    run.run()
    assert results == [items] * 3
    if (offer, take) == (1.0, 1.0):
        assert run.cycles == COUNT


def test_fork_lets_outputs_take_in_different_cycles():
    dut = Fork(shape=8, outputs=2)

    async def bench(ctx):
        ctx.set(dut.i.payload, 7)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o[1].ready, 1)
        assert (ctx.get(dut.o[0].valid), ctx.get(dut.o[1].valid), ctx.get(dut.i.ready)) == (1, 1, 0)
        await ctx.tick()
        assert (ctx.get(dut.o[0].valid), ctx.get(dut.o[1].valid), ctx.get(dut.i.ready)) == (1, 0, 0)
        ctx.set(dut.o[1].ready, 0)
        ctx.set(dut.o[0].ready, 1)
        assert ctx.get(dut.i.ready) == 1
        await ctx.tick()
        assert (ctx.get(dut.o[0].valid), ctx.get(dut.o[1].valid)) == (1, 1)  # the next item, to both

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(("offer", "take"), SHARES)
@pytest.mark.parametrize("shape", [Pair, data.StructLayout({"a": 5, "b": 9})], ids=["struct", "layout"])
def test_join_zips(bench, words, offer, take, shape):
    dut = Join(shape=shape)
    left, right = words(5, COUNT), words(9, COUNT)
    run = bench(dut)
    run.source(dut.i.a, left, willing=offer)
    run.source(dut.i.b, right, willing=min(1.0, offer * 1.2))
    result = run.sink(dut.o, COUNT, willing=take)
    run.run()
    assert result == [a | b << 5 for a, b in zip(left, right, strict=True)]
    if (offer, take) == (1.0, 1.0):
        assert run.cycles == COUNT


def test_bench_finds_a_withdrawn_item(bench):
    dut = Skid(shape=8)
    run = bench(dut)
    run.watch(dut.i)

    async def break_rule(ctx):
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(4)  # full: the third item waits
        ctx.set(dut.i.valid, 0)

    run.add_testbench(break_rule)
    with pytest.raises(AssertionError, match="withdrawn"):
        run.run()


def test_bench_finds_a_changed_item(bench):
    dut = Skid(shape=8)
    run = bench(dut)
    run.watch(dut.i)

    async def break_rule(ctx):
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(4)
        ctx.set(dut.i.payload, 1)

    run.add_testbench(break_rule)
    with pytest.raises(AssertionError, match="changed from 0x0 to 0x1"):
        run.run()


@pytest.mark.parametrize("kind", [Skid, Join])
def test_shape_wrong_kind(kind):
    with pytest.raises(TypeError, match="shape must be a shape, not 'byte'"):
        kind(shape="byte")


def test_shape_without_bits():
    with pytest.raises(ValueError, match="Skid shape must be at least one bit wide, not 0"):
        Skid(shape=0)


@pytest.mark.parametrize(("outputs", "error"), [(1, ValueError), (2.0, TypeError), (True, TypeError)])
def test_fork_outputs_wrong(outputs, error):
    with pytest.raises(error, match=r"Fork outputs must be (at least 2|an integer), not"):
        Fork(shape=8, outputs=outputs)


@pytest.mark.parametrize("shape", [8, data.ArrayLayout(8, 2), data.StructLayout({"a": 8})])
def test_join_shape_wrong(shape):
    with pytest.raises(TypeError, match="Join shape must be a struct of two fields or more, not"):
        Join(shape=shape)

# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Queue: order, data, level, credit, depth and speed."""

import pytest
from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from hdl.core.fifo import Queue

COUNT = 300


class Item(data.Struct):
    """A payload with a signed field."""

    tag: unsigned(3)
    value: signed(6)


@pytest.mark.parametrize(("offer", "take"), [(1.0, 1.0), (1.0, 0.4), (0.4, 1.0), (0.5, 0.5)])
@pytest.mark.parametrize(("depth", "buffered"), [(2, False), (5, False), (8, False), (3, True), (8, True)])
def test_queue_against_a_model(bench, words, depth, buffered, offer, take):
    dut = Queue(shape=Item, depth=depth, buffered=buffered)
    items = words(9, COUNT)
    run = bench(dut)
    levels = set()

    async def model(ctx):
        level = 0
        sample = ctx.tick().sample(dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready, dut.level, dut.credit)
        async for _clk, _rst, enters, leaves, seen, credit in sample:
            assert seen == level
            assert credit == leaves
            levels.add(level)
            level += enters - leaves

    run.add_testbench(model)
    run.source(dut.i, items, willing=offer)
    result = run.sink(dut.o, COUNT, willing=take)
    run.run()
    assert result == items
    if (offer, take) == (1.0, 1.0):
        assert run.cycles == COUNT + (2 if buffered else 1)
    if (offer, take) == (1.0, 0.4):
        assert max(levels) == depth


@pytest.mark.parametrize(("depth", "buffered"), [(1, False), (2, True)])
def test_queue_depth_too_small(depth, buffered):
    with pytest.raises(ValueError, match=f"Queue depth must be at least {depth + 1}, not {depth}"):
        Queue(shape=8, depth=depth, buffered=buffered)


def test_queue_parameters_of_wrong_kind():
    with pytest.raises(TypeError, match=r"Queue depth must be an integer, not 4\.0"):
        Queue(shape=8, depth=4.0)  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(TypeError, match="Queue buffered must be a bool, not 1"):
        Queue(shape=8, depth=4, buffered=1)  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(TypeError, match="Queue shape must be a shape, not None"):
        Queue(shape=None, depth=4)

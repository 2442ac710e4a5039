# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Arbiter: order within a stream, fairness, packets kept together, rules."""

import pytest
from amaranth.hdl import unsigned
from amaranth.lib import data

from hdl.core.arbiter import Arbiter

COUNT = 120


class Flit(data.Struct):
    """A word of a packet."""

    value: unsigned(8)
    origin: unsigned(2)
    last: unsigned(1)


def flits(bench_random, origin, count, length):
    """Bits of ``count`` flits of one origin, every ``length``-th of them a last one."""
    return [bench_random.getrandbits(8) | origin << 8 | (index % length == length - 1) << 10 for index in range(count)]


@pytest.mark.parametrize(("offer", "take"), [(1.0, 1.0), (1.0, 0.4), (0.3, 1.0), (0.5, 0.5)])
@pytest.mark.parametrize("last", [None, "last"])
@pytest.mark.parametrize("inputs", [2, 3])
def test_order_source_and_packets(bench, offer, take, last, inputs):
    dut = Arbiter(shape=Flit, inputs=inputs, last=last)
    run = bench(dut)
    sent = [flits(run.random, origin, COUNT, 4) for origin in range(inputs)]
    for stream, items in zip(dut.i, sent, strict=True):
        run.source(stream, items, willing=offer)
    result = run.sink(dut.o, COUNT * inputs, willing=take)

    async def check_source(ctx):
        async for _clk, _rst, valid, payload, source in ctx.tick().sample(dut.o.valid, dut.o.payload, dut.source):
            assert not valid or payload.origin == source

    run.add_testbench(check_source)
    run.run()
    for origin, items in enumerate(sent):
        assert [item for item in result if item >> 8 & 3 == origin] == items
    if last:
        origins = [item >> 8 & 3 for item in result]
        assert all(len(set(origins[start : start + 4])) == 1 for start in range(0, len(origins), 4))
    if (offer, take) == (1.0, 1.0):
        assert run.cycles == COUNT * inputs


@pytest.mark.parametrize(("last", "turn"), [(None, 1), ("last", 4)])
def test_turns_go_round(bench, last, turn):
    dut = Arbiter(shape=Flit, inputs=3, last=last)
    run = bench(dut)
    for origin, stream in enumerate(dut.i):
        run.source(stream, flits(run.random, origin, 12, 4))
    result = run.sink(dut.o, 36, willing=0.6)
    run.run()
    assert [item >> 8 & 3 for item in result] == [index // turn % 3 for index in range(36)]


def test_idle_streams_are_skipped(bench):
    dut = Arbiter(shape=Flit, inputs=4)
    run = bench(dut)
    run.source(dut.i[2], flits(run.random, 2, 10, 1))
    result = run.sink(dut.o, 10)
    run.run()
    assert len(result) == run.cycles == 10


def test_packet_is_kept_together_over_a_pause(bench):
    dut = Arbiter(shape=Flit, inputs=2, last="last")
    run = bench(dut)
    run.source(dut.i[0], flits(run.random, 0, 8, 8), willing=0.2)
    run.source(dut.i[1], flits(run.random, 1, 8, 2))
    result = run.sink(dut.o, 16)
    run.run()
    origins = [item >> 8 & 3 for item in result]
    start = origins.index(0)
    assert origins[start : start + 8] == [0] * 8


@pytest.mark.parametrize("last", ["value", "none", 3])
def test_last_wrong(last):
    with pytest.raises(ValueError, match="Arbiter last must be the name of a one-bit field of the shape, not"):
        Arbiter(shape=Flit, inputs=2, last=last)


def test_last_needs_a_struct():
    with pytest.raises(ValueError, match="Arbiter last must be the name of a one-bit field of the shape, not 'last'"):
        Arbiter(shape=8, inputs=2, last="last")


@pytest.mark.parametrize(("inputs", "error"), [(1, ValueError), ("2", TypeError)])
def test_inputs_wrong(inputs, error):
    with pytest.raises(error, match=r"Arbiter inputs must be (at least 2|an integer), not"):
        Arbiter(shape=Flit, inputs=inputs)


def test_shape_wrong():
    with pytest.raises(TypeError, match="Arbiter shape must be a shape, not 'flit'"):
        Arbiter(shape="flit", inputs=2)

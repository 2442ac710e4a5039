# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Packetize and Assemble alone: plans, headers and reads of each message, whichever stream waits; flits from them."""

import random
from collections import deque

import pytest

from golden.packets import cut, decode
from hdl.message.assemble import Assemble
from hdl.message.packetize import Packetize
from mtia.message import HEADER, PacketOp, pack

from ..pysim import simulate

MTU = 160


def draw(rng, length):
    """A job as fields."""
    header = {name: rng.getrandbits(width) for name, width in HEADER} | {"op": int(PacketOp.WRITE)}
    header["offset"] = 32 * rng.getrandbits(40)
    return {"thread": rng.randrange(32), "header": header, "source": 32 * rng.getrandbits(40), "length": length}


def expected(jobs):
    """Plans, headers and addresses of reads."""
    plans, headers, reads = [], [], []
    for job in jobs:
        fields = {name: value for name, value in job["header"].items() if name != "length"}
        address = job["source"]
        packets = cut(fields, bytes(job["length"]), MTU)
        for packet in packets:
            header, payload = decode(packet)
            headers.append(header)
            left = len(payload)
            for index in range(len(packet)):
                count = min(left, 64 if index else 32)
                last = index == len(packet) - 1
                plans.append((int(index == 0), int(last), int(count > 0), count, int(last and header["end"])))
                if count:
                    reads.append(address)
                address, left = address + count, left - count
    return plans, headers, reads


@pytest.mark.parametrize(("plan_ready", "read_ready"), [(1.0, 1.0), (0.3, 0.9), (0.9, 0.3), (0.5, 0.5)])
def test_plans_and_reads(plan_ready, read_ready, seed):
    """Each once and in order; a read never before the plan is taken or taken with it; one a cycle if all is ready."""
    rng = random.Random(seed)
    lengths = [0, 1, 32, 33, 96, 97, MTU - 1, MTU, MTU + 1, 3 * MTU, 0, 0, 5 * MTU + 40, 64]
    jobs = [draw(rng, length) for length in lengths * 3]
    plans, headers, reads = map(deque, expected(jobs))
    count = len(plans)
    dut = Packetize(mtu=MTU)

    async def bench(ctx):
        sent, asked, planned_with_data, cycles = 0, 0, 0, 0
        while plans or reads:
            ctx.set(dut.i.valid, sent < len(jobs))
            if sent < len(jobs):
                ctx.set(dut.i.payload, jobs[sent])
            is_ready = rng.random() < plan_ready
            ctx.set(dut.plan.ready, is_ready)
            ctx.set(dut.header.ready, is_ready)
            ctx.set(dut.read.ready, rng.random() < read_ready)
            plan = ctx.get(dut.plan.payload)
            if ctx.get(dut.plan.valid) and is_ready:
                assert (plan.head, plan.last, plan.has_data, plan.count, plan.final) == plans.popleft()
                planned_with_data += plan.has_data
                assert ctx.get(dut.header.valid) == plan.head
                if plan.head:
                    header = ctx.get(dut.header.payload)
                    assert {name: header[name] for name, _ in HEADER} == headers.popleft()
            else:
                assert not ctx.get(dut.header.valid)
            if ctx.get(dut.read.valid) and ctx.get(dut.read.ready):
                assert ctx.get(dut.read.payload.address) == reads.popleft()
                asked += 1
            assert asked <= planned_with_data
            sent += sent < len(jobs) and ctx.get(dut.i.ready)
            cycles += 1
            await ctx.tick()
        assert (plan_ready, read_ready) != (1.0, 1.0) or cycles == count + 1

    simulate(dut, bench)
    assert not headers


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 63, 64])
def test_bytes_past_the_end(count):
    """What is read past `count` is not sent, in a body flit; nor past 32 bytes in a head flit."""
    dut = Assemble()
    data, header = (1 << 512) - 1, {"op": 1, "length": count, "window": 200}

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for head in (0, 1):
            here = min(count, 32) if head else count
            plan = {"head": head, "last": 1, "has_data": int(here > 0), "count": here}
            ctx.set(dut.plan.payload, plan)
            ctx.set(dut.data.payload, {"data": data})
            ctx.set(dut.header.payload, header)
            needed = [
                stream for stream, is_needed in ((dut.plan, 1), (dut.data, here), (dut.header, head)) if is_needed
            ]
            for stream in needed:
                assert not ctx.get(dut.plan.ready)
                ctx.set(stream.valid, 1)
            assert ctx.get(dut.plan.ready)
            assert (ctx.get(dut.data.ready), ctx.get(dut.header.ready)) == (here > 0, head)
            await ctx.tick()
            for stream in (dut.plan, dut.data, dut.header):
                ctx.set(stream.valid, 0)
            flit = ctx.get(dut.o.payload)
            payload = (1 << 8 * here) - 1
            assert ctx.get(dut.o.valid)
            assert (flit.head, flit.last) == (head, 1)
            assert flit.data == (pack(HEADER, **header) | payload << 256 if head else payload)

    simulate(dut, bench)


def test_mtu_wrong():
    with pytest.raises(ValueError, match=r"Packetize mtu must be 32 \+ 64 k, not 100"):
        Packetize(mtu=100)
    assert Packetize(mtu=MTU).mtu == MTU

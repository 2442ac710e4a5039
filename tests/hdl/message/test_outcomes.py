"""Outcomes: what follows from each, once, whatever waits; answers and READYs as packets."""

import random
from collections import deque

import numpy as np
import pytest

from golden.packets import decode
from hdl.message.outcomes import RequestOutcomes, ResponseOutcomes
from hdl.message.respond import Announce, Respond
from mtia.message import EVENT, PacketOp, Reason, pack

from ..pysim import simulate

WIDTHS = {
    "reason": 4,
    "op": 4,
    "end": 1,
    "acknowledge": 1,
    "source": 8,
    "partition": 8,
    "window": 8,
    "slot": 7,
    "event": 16,
    "sequence": 16,
    "command": 16,
    "offset": 48,
    "immediate": 4,
}


def draw(rng, ops):
    """An outcome as fields."""
    item = {name: rng.getrandbits(width) for name, width in WIDTHS.items()}
    item["op"] = int(rng.choice(ops))
    item["reason"] = rng.choice([0, 0, 0, *range(1, 9)])
    item["event"] = pack(EVENT, communicator=rng.randrange(16), piece=rng.randrange(32))
    return item


def pick(item, *names):
    return {name: item[name] for name in names}


def requests(item):
    """What must follow from an outcome on REQUEST."""
    ends = not item["reason"] and item["end"]
    follows = {}
    if ends and item["op"] == PacketOp.WRITE_IMMEDIATE:
        follows["arrival"] = pick(item, "event", "sequence", "slot")
    if ends and item["op"] == PacketOp.SEND:
        follows["eager"] = pick(item, "source", "sequence")
    if item["reason"] or (ends and item["acknowledge"]):
        names = ("reason", "partition", "window", "sequence", "command", "offset")
        follows["reply"] = pick(item, *names) | {"destination": item["source"]}
    return follows


def responses(item):
    """What must follow from an outcome on RESPONSE."""
    if item["reason"]:
        return {}
    if item["op"] == PacketOp.RESULT:
        return {"arrival": pick(item, "event", "sequence", "slot")}
    if item["op"] == PacketOp.READY:
        communicator = item["event"] >> 8 & 15
        return {"token": {"communicator": communicator, "port": item["source"], "offset": item["offset"]}}
    refused = int(item["op"] == PacketOp.REFUSED)
    fields = {"refused": refused, "reason": item["immediate"] if refused else 0}
    return {"acknowledged": pick(item, "command", "source") | fields}


@pytest.mark.parametrize("willing", [1.0, 0.3])
@pytest.mark.parametrize(
    ("dut", "ops", "follow", "outputs"),
    [
        (
            RequestOutcomes,
            (PacketOp.WRITE, PacketOp.WRITE_IMMEDIATE, PacketOp.SEND),
            requests,
            ("arrival", "eager", "reply"),
        ),
        (
            ResponseOutcomes,
            (PacketOp.READY, PacketOp.RESULT, PacketOp.DONE, PacketOp.REFUSED),
            responses,
            ("arrival", "token", "acknowledged"),
        ),
    ],
)
def test_each_once(dut, ops, follow, outputs, willing, seed):
    """Each outcome's followers leave once and in order; `refused` tells each reason once; one a cycle if all take."""
    rng = random.Random(seed)
    dut = dut()
    items = [draw(rng, ops) for _ in range(400)]
    expected = {name: deque(follow(item)[name] for item in items if name in follow(item)) for name in outputs}
    reasons = deque(item["reason"] for item in items if item["reason"])

    async def bench(ctx):
        taken, cycles = 0, 0
        while taken < len(items):
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, items[taken])
            for name in outputs:
                ctx.set(getattr(dut, name).ready, rng.random() < willing)
            for name in outputs:
                stream = getattr(dut, name)
                if ctx.get(stream.valid) and ctx.get(stream.ready):
                    payload = ctx.get(stream.payload)
                    assert {field: payload[field] for field, _ in payload.shape()} == expected[name].popleft()
            if reason := ctx.get(dut.refused):
                assert reason == reasons.popleft()
            taken += ctx.get(dut.i.ready)
            cycles += 1
            await ctx.tick()
        assert willing < 1 or cycles == len(items)

    simulate(dut, bench)
    assert not any(expected.values())
    assert not reasons


def flit_of(ctx, stream):
    """Header fields of the flit on a stream; it must be a packet of its own without payload."""
    flit = ctx.get(stream.payload)
    assert (flit.head, flit.last) == (1, 1)
    data = flit.data.to_bytes(64, "little")
    fields, payload = decode(np.frombuffer(data, np.uint8)[None])
    assert not payload
    return {name: value for name, value in fields.items() if value}


@pytest.mark.parametrize("reason", Reason)
def test_answers(reason):
    """DONE or REFUSED to the packet's source, a cycle later."""
    dut = Respond()
    reply = {"destination": 3, "partition": 4, "window": 5, "sequence": 6, "command": 7, "offset": 96}
    op = PacketOp.REFUSED if reason else PacketOp.DONE
    wanted = {"op": int(op), "end": 1, **reply} | ({"immediate": int(reason)} if reason else {})

    async def bench(ctx):
        ctx.set(dut.i.payload, {"reason": int(reason), **reply})
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 0)
        assert ctx.get(dut.i.ready)
        await ctx.tick()
        ctx.set(dut.i.payload, {"reason": 15, "command": 255})
        for _ in range(3):
            assert ctx.get(dut.o.valid)
            assert not ctx.get(dut.i.ready)
            assert flit_of(ctx, dut.o) == wanted
            await ctx.tick()
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.i.ready)
        await ctx.tick()
        assert flit_of(ctx, dut.o)["command"] == 255

    simulate(dut, bench)


def test_readies():
    """The header of the job, its end set; `sent` a cycle after it has left; two that are not taken stop the third."""
    dut = Announce()
    header = {"op": int(PacketOp.READY), "destination": 3, "event": 0x105, "offset": 64, "command": 9}

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for thread in (7, 8, 9):
            ctx.set(dut.i.payload, {"thread": thread, "header": header | {"length": 5}, "source": 32, "length": 99})
            ctx.set(dut.o.ready, 0)
            await ctx.tick()
            if thread == 9:
                break
            assert ctx.get(dut.o.valid)
            assert not ctx.get(dut.i.ready)
            assert flit_of(ctx, dut.o) == header | {"end": 1}
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            assert not ctx.get(dut.o.valid)
            assert ctx.get(dut.sent.valid)
            ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.o.ready, 1)
        for _ in range(3):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        ctx.set(dut.sent.ready, 1)
        threads, left = [], 0
        for _ in range(8):
            if ctx.get(dut.sent.valid):
                threads.append(ctx.get(dut.sent.payload.thread))
            left += ctx.get(dut.o.valid)
            await ctx.tick()
        assert (threads, left) == ([7, 8, 9], 1)

    simulate(dut, bench)

# amaranth: UnusedElaboratable=no
"""A NIC: packets leave through the queue pairs of its role, whole or not at all."""

import random

import numpy as np
import pytest

from hdl.link.admit import Admit, QueuePair
from hdl.link.nic import Configure, Nic
from mtia import link
from mtia.link import LinkParameters, NicRole, Refusal
from mtia.message import HEADER, Channel, pack
from tb import verilator

from ..pysim import simulate

PAIR = {"open": 1, "role": 1, "partition": 7, "first_window": 3, "last_window": 5, "reserved": 0}


def packet(rng: random.Random, flits: int, **header: int) -> list[dict[str, int]]:
    """A packet of random payload with that header."""
    data = [rng.getrandbits(512) for _ in range(flits)]
    data[0] = data[0] >> 256 << 256 | pack(HEADER, **header)
    return [{"data": word, "head": i == 0, "last": i == flits - 1} for i, word in enumerate(data)]


def expected_refusal(pair: dict[str, int], role: NicRole, channel: Channel, header: dict[str, int]) -> Refusal:
    """The rule in words of its own."""
    if header["destination"] > 127 or not pair["open"]:
        return Refusal.CLOSED
    if role == NicRole.SPARE or pair["role"] != role:
        return Refusal.ROLE
    if channel == Channel.RESPONSE:
        return Refusal.NONE
    if pair["partition"] != header["partition"]:
        return Refusal.PARTITION
    return Refusal.NONE if pair["first_window"] <= header["window"] <= pair["last_window"] else Refusal.WINDOW


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize("willing", [1.0, 0.4])
def test_random(channel, willing, seed):
    """Random pairs, roles and packets, a table beside it: what passes, what is dropped and why."""
    rng = random.Random(seed)
    dut = Admit(channel=channel)
    pairs: dict[tuple[int, int], dict[str, int]] = {}
    for index in range(256):
        values = {"open": rng.random() < 0.9, "role": rng.choice([1, 1, 2]), "partition": rng.choice([7, 8])}
        values |= {"first_window": 3, "last_window": rng.choice([3, 9]), "reserved": 0}
        pairs[index >> 7, index & 127] = values
    sent: list[dict[str, int]] = []
    wanted: list[dict[str, int]] = []
    reasons: list[Refusal] = []
    for _ in range(150):
        header = {"destination": rng.choice([rng.randrange(128), rng.randrange(256)]), "multicast": rng.random() < 0.3}
        header |= {"partition": rng.choice([7, 7, 8]), "window": rng.randrange(2, 11)}
        flits = packet(rng, rng.randrange(1, 5), **header)
        pair = pairs[header["multicast"], header["destination"] & 127]
        reason = expected_refusal(pair, NicRole.SCALE_UP, channel, header)
        reasons.append(reason)
        sent += flits
        wanted += [] if reason else flits
    got: list[dict[str, int]] = []
    refused: list[Refusal] = []
    admitted = 0

    async def bench(ctx):
        nonlocal admitted
        ctx.set(dut.role, NicRole.SCALE_UP)
        place, idle, waits = 0, 0, False
        while idle < 20:
            offered = place < len(sent) and (waits or rng.random() < 0.8)
            ctx.set(dut.i.valid, offered)
            if offered:
                ctx.set(dut.i.payload, sent[place])
            ctx.set(dut.o.ready, rng.random() < willing)
            taken = bool(offered and ctx.get(dut.i.ready))
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                out = ctx.get(dut.o.payload)
                got.append({"data": int(out.data), "head": bool(out.head), "last": bool(out.last)})
            admitted += ctx.get(dut.admitted)
            if (reason := ctx.get(dut.refused)) != Refusal.NONE:
                refused.append(Refusal(reason))
            asks, index = ctx.get(dut.asks), ctx.get(dut.index)
            place, waits = place + taken, offered and not taken
            idle = 0 if place < len(sent) else idle + 1
            await ctx.tick()
            if asks:
                ctx.set(dut.pair, pairs[int(index.multicast), int(index.peer)])

    simulate(dut, bench)
    assert got == wanted
    assert refused == [reason for reason in reasons if reason]
    assert admitted == reasons.count(Refusal.NONE)
    assert set(reasons) == (set(Refusal) if channel == Channel.REQUEST else {0, 1, 2})


def test_nic(seed):
    """Table, role and counters in place: the same packet as pair and role change.

    The other end is a wire back to this one: it hears its own HELLO and acknowledges its own flits.
    """
    rng = random.Random(seed)
    dut = Nic(parameters=LinkParameters(wire=2, replay=8, buffer=8))
    finished: list[int] = []

    async def tick(ctx, cycles=1):
        for _ in range(cycles):
            valid, frame = ctx.get(dut.line_out.valid), ctx.get(dut.line_out.frame.as_value())
            await ctx.tick()
            ctx.set(dut.line_in.valid, valid)
            ctx.set(dut.line_in.frame.as_value(), frame)

    async def configure(ctx, **values):
        ctx.set(dut.configure.payload, values)
        ctx.set(dut.configure.valid, 1)
        await tick(ctx)
        ctx.set(dut.configure.valid, 0)
        await tick(ctx)

    async def send(ctx, flits):
        for flit in flits:
            ctx.set(dut.tx[0].payload, flit)
            ctx.set(dut.tx[0].valid, 1)
            while not ctx.get(dut.tx[0].ready):
                await tick(ctx)
            await tick(ctx)
        ctx.set(dut.tx[0].valid, 0)
        await tick(ctx, 6)

    async def bench(ctx):
        while ctx.get(dut.state) != link.LinkState.UP:
            await tick(ctx)
        await tick(ctx, 30)
        flits = packet(rng, 3, destination=9, partition=7, window=4)
        counts = dict.fromkeys(link.NIC_COUNTERS, 0)

        async def attempt(name):
            await send(ctx, flits)
            counts[name] += 1
            assert {key: ctx.get(dut.nic_counters[key]) for key in counts} == counts

        await attempt("refused_closed")
        await configure(ctx, index={"peer": 9}, pair=PAIR)
        await attempt("refused_role")
        await configure(ctx, sets_role=1, role=1)
        assert ctx.get(dut.role) == NicRole.SCALE_UP
        await attempt("packets")
        await configure(ctx, index={"peer": 9}, pair=PAIR | {"partition": 8})
        await attempt("refused_partition")
        await configure(ctx, index={"peer": 9}, pair=PAIR | {"last_window": 3})
        await attempt("refused_window")
        await configure(ctx, sets_role=1, role=2)
        await attempt("refused_role")
        await tick(ctx, 20)
        finished.append(ctx.get(dut.counters.sent))
        assert ctx.get(dut.counters.received) == 3
        assert ctx.get(dut.counters.dropped) == 0

    simulate(dut, bench)
    assert finished == [3]


def test_layouts():
    assert QueuePair.size == 32
    assert Configure.size == 1 + 2 + 8 + 32
    assert np.log2(256) == len(Nic(parameters=LinkParameters()).configure.payload.index.as_value())


def test_wrong():
    with pytest.raises(TypeError, match=r"Admit channel must be a mtia.message.Channel, not 0"):
        Admit(channel=0)  # type: ignore[arg-type] # what is tested
    with pytest.raises(ValueError, match="Nic flit_bits must be 512, not 32"):
        Nic(parameters=LinkParameters(flit_bits=32))


@pytest.mark.sim
def test_lint():
    from hdl.emit import emit

    verilator.lint(emit(Nic(parameters=LinkParameters()), name="top").verilog)

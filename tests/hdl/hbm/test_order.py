# amaranth: UnusedElaboratable=no
"""Reads of one id leave in the order in which they came, whatever order the memory answers in."""

import random

import pytest
from amaranth.sim import Simulator

from hdl.hbm.commands import MemoryOp, Status
from hdl.hbm.order import InOrder
from hdl.hbm.port import MemoryPort
from tests.hdl.pysim import simulate

SLOTS = 6


def drive(requests, *, seed, order="random", wait=0.0, slots=SLOTS, id_bits=2):
    """Answers {(cycle, tag, status, data)} to (op, id, tag, address); the memory's data is the address and 7."""
    dut = InOrder(port=MemoryPort(address_bits=16, tag_bits=10, id_bits=id_bits), slots=slots)
    chance = random.Random(seed)
    pending: list[tuple[int, int]] = []
    answers: list[tuple[int, int, int, int]] = []
    accepted: list[int] = []
    state = {"cycle": 0}

    async def requester(ctx):
        for op, id, tag, address in requests:
            while chance.random() < wait:
                await ctx.tick()
            ctx.set(dut.request.payload.op, op)
            ctx.set(dut.request.payload.id, id)
            ctx.set(dut.request.payload.tag, tag)
            ctx.set(dut.request.payload.address, address)
            ctx.set(dut.request.valid, 1)
            await ctx.tick().until(dut.request.ready)
            accepted.append(state["cycle"])
            ctx.set(dut.request.valid, 0)

    async def memory(ctx):
        while True:
            ctx.set(dut.onward.ready, chance.random() >= wait)
            item = None
            held = order == "last" and len(accepted) < len(requests)
            if pending and not held and chance.random() >= wait:
                place = {"first": 0, "last": -1}.get(order, chance.randrange(len(pending)))
                item = pending[place]
                ctx.set(dut.back.payload.tag, item[0])
                ctx.set(dut.back.payload.status, Status.POISON if item[1] % 5 == 0 else Status.OK)
                ctx.set(dut.back.payload.data, item[1] + 7)
            ctx.set(dut.back.valid, item is not None)
            _, _, valid, ready, payload, taken = await ctx.tick().sample(
                dut.onward.valid, dut.onward.ready, dut.onward.payload, dut.back.ready
            )
            if item is not None and taken:
                pending.remove(item)
            if valid and ready:
                pending.append((payload.tag, payload.address))

    async def taker(ctx):
        while len(answers) < len(requests):
            ctx.set(dut.response.ready, chance.random() >= wait)
            _, _, valid, ready, payload = await ctx.tick().sample(
                dut.response.valid, dut.response.ready, dut.response.payload
            )
            if valid and ready:
                answers.append((state["cycle"], payload.tag, payload.status, payload.data))
            state["cycle"] += 1
            assert state["cycle"] < 60 * len(requests) + 200
        await ctx.tick()
        assert ctx.get(dut.idle)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(requester)
    simulator.add_testbench(taker)
    simulator.add_testbench(memory, background=True)
    simulator.run()
    return answers, accepted


def check(requests, answers):
    by_tag = {tag: (status, data) for _, tag, status, data in answers}
    assert len(answers) == len(by_tag) == len(requests)
    for op, _, tag, address in requests:
        status, data = by_tag[tag]
        assert status == (Status.POISON if address % 5 == 0 else Status.OK)
        if op == MemoryOp.RD:
            assert data == address + 7
    place = {tag: index for index, (_, tag, _, _) in enumerate(answers)}
    for id in {id for _, id, _, _ in requests}:
        order = [place[tag] for op, own, tag, _ in requests if own == id and op == MemoryOp.RD]
        assert order == sorted(order)


@pytest.mark.parametrize("wait", (0.0, 0.4))
@pytest.mark.parametrize("slots", (2, 5, 16))
def test_same_id_in_order(seed, wait, slots):
    chance = random.Random(seed)
    requests = [
        (
            chance.choice([MemoryOp.RD, MemoryOp.RD, MemoryOp.WR, MemoryOp.RED]),
            chance.randrange(4),
            tag,
            chance.randrange(999),
        )
        for tag in range(300)
    ]
    answers, _ = drive(requests, seed=seed, wait=wait, slots=slots)
    check(requests, answers)


def test_other_ids_pass():
    """The memory answers the last first: a read of another id does not wait for the first one."""
    requests = [(MemoryOp.RD, tag % 2, tag, tag + 1) for tag in range(SLOTS)]
    answers, _ = drive(requests, seed=1, order="last")
    check(requests, answers)
    assert [tag for _, tag, _, _ in answers] != sorted(range(SLOTS))


@pytest.mark.parametrize("ids", (1, 4))
def test_one_a_cycle(ids):
    requests = [(MemoryOp.RD, tag % ids, tag, tag) for tag in range(200)]
    answers, accepted = drive(requests, seed=1, order="first", slots=16)
    check(requests, answers)
    cycles = [cycle for cycle, _, _, _ in answers]
    assert cycles[-1] - cycles[0] == len(requests) - 1
    assert accepted[-1] - accepted[0] == len(requests) - 1


def test_writes_do_not_wait():
    """All slots are taken by reads that the memory keeps; a write goes by."""
    dut = InOrder(port=MemoryPort(address_bits=8, tag_bits=4, id_bits=1), slots=2)

    async def bench(ctx):
        ctx.set(dut.onward.ready, 1)
        ctx.set(dut.request.valid, 1)
        for _ in range(2):
            assert ctx.get(dut.request.ready)
            await ctx.tick()
        assert not ctx.get(dut.request.ready)
        assert not ctx.get(dut.onward.valid)
        ctx.set(dut.request.payload.op, MemoryOp.WR)
        assert ctx.get(dut.request.ready)
        assert ctx.get(dut.onward.valid)

    simulate(dut, bench)


def test_wrong():
    with pytest.raises(ValueError, match=r"In order port must be one with ids, not MemoryPort"):
        InOrder(port=MemoryPort(address_bits=8), slots=4)
    port = MemoryPort(address_bits=8, id_bits=1)
    with pytest.raises(ValueError, match=r"In order slots must be at least 2, not 1"):
        InOrder(port=port, slots=1)
    with pytest.raises(ValueError, match=r"Memory port id bits must be in 0 to 12, not 13"):
        MemoryPort(address_bits=8, id_bits=13)


def test_no_ids_no_field():
    assert "id" not in MemoryPort(address_bits=8).request().members

"""Parts of the sequencer in the corners to which the whole does not bring them."""

import random

import pytest

from hdl.message.admission import Admission
from hdl.message.arrivals import Arrivals
from hdl.message.jobs import MemoryOp
from hdl.message.starter import Starter
from hdl.message.step import StepMaker
from hdl.message.tables import Space, Tables
from hdl.message.visit import Visit
from mtia.message import DescriptorOp, Extent, Fault, PacketOp, WorkOp
from tests.hdl.pysim import run, simulate


async def give(ctx, stream, **payload):
    """Offers an item until it is taken."""
    ctx.set(stream.payload, payload)
    ctx.set(stream.valid, 1)
    await ctx.tick().until(stream.ready)
    ctx.set(stream.valid, 0)


async def take(ctx, stream, within=20):
    """The payload of the next item, which comes within so many cycles."""
    ctx.set(stream.ready, 1)
    for _ in range(within):
        found, payload = ctx.get(stream.valid), ctx.get(stream.payload)
        await ctx.tick()
        if found:
            ctx.set(stream.ready, 0)
            return payload
    raise AssertionError("nothing came")


def test_arrivals_are_asked_for_once_each():
    """Two threads; an arrival of another event asks nothing, one of the own event asks for that thread alone."""
    dut = Arrivals(threads=4)

    async def bench(ctx):
        for thread, event in ((1, 0x111), (3, 0x222)):
            ctx.set(dut.wait, {"valid": 1, "thread": thread, "event": event, "sequence": 9, "mask": 5 << thread})
            await ctx.tick()
        ctx.set(dut.wait, {"valid": 0})
        ctx.set(dut.waits_event, 0b1010)
        for thread, event in ((1, 0x111), (3, 0x222)):
            query = await take(ctx, dut.query)
            assert (query.event, query.sequence, query.mask) == (event, 9, 5 << thread)
            assert ctx.get(dut.asked.valid) == 1
            assert ctx.get(dut.asked.thread) == thread
            await give(ctx, dut.answer, complete=0)
            assert not ctx.get(dut.wake.valid)
        for arrived, asked in ((0x333, None), (0x222, 3), (0x111, 1)):
            ctx.set(dut.arrived, 1)
            ctx.set(dut.arrived_event, arrived)
            await ctx.tick()
            ctx.set(dut.arrived, 0)
            if asked is None:
                await ctx.tick().repeat(10)
                assert not ctx.get(dut.query.valid)
                continue
            await take(ctx, dut.query)
            ctx.set(dut.answer.payload.complete, 1)
            ctx.set(dut.answer.valid, 1)
            assert ctx.get(dut.wake.valid) == 1
            assert ctx.get(dut.wake.thread) == asked
            ctx.set(dut.waits_event, ctx.get(dut.waits_event) & ~(1 << asked))
            await ctx.tick()
            ctx.set(dut.answer.valid, 0)
            await ctx.tick().repeat(10)
            assert not ctx.get(dut.query.valid)

    simulate(dut, bench)


def test_an_arrival_during_the_question_asks_again():
    """The answer may be from before it."""
    dut = Arrivals(threads=4)

    async def bench(ctx):
        ctx.set(dut.wait, {"valid": 1, "thread": 2, "event": 7})
        await ctx.tick()
        ctx.set(dut.wait, {"valid": 0})
        ctx.set(dut.waits_event, 0b100)
        await take(ctx, dut.query)
        ctx.set(dut.arrived, 1)
        ctx.set(dut.arrived_event, 7)
        await ctx.tick()
        ctx.set(dut.arrived, 0)
        await give(ctx, dut.answer, complete=0)
        await take(ctx, dut.query)

    simulate(dut, bench)


def test_tokens_are_taken_with_the_question():
    dut = Arrivals(threads=4)

    async def bench(ctx):
        ctx.set(dut.wait, {"valid": 1, "thread": 2, "event": 0x5 << 8, "port": 33})
        await ctx.tick()
        ctx.set(dut.wait, {"valid": 0})
        ctx.set(dut.waits_token, 0b100)
        for available in (0, 1):
            query = await take(ctx, dut.ready_query)
            assert (query.communicator, query.port, query.take) == (5, 33, 1)
            ctx.set(dut.ready_answer.payload.available, available)
            ctx.set(dut.ready_answer.valid, 1)
            assert ctx.get(dut.wake.valid) == available
            await ctx.tick()
            ctx.set(dut.ready_answer.valid, 0)
            ctx.set(dut.ready_arrived, 1)
            await ctx.tick()
            ctx.set(dut.ready_arrived, 0)

    simulate(dut, bench)


def test_tables():
    """Each space has its own; a space that is not here and an index past the end change nothing."""
    dut = Tables(communicators=3, programs=5, entries=8)

    async def read(ctx, name, index):
        ctx.set(getattr(dut, f"{name}_index"), index)
        ctx.set(getattr(dut, f"{name}_enable"), 1)
        await ctx.tick()
        ctx.set(getattr(dut, f"{name}_enable"), 0)
        return ctx.get(getattr(dut, name).as_value())

    async def bench(ctx):
        for space, index, data in (
            (Space.COMMUNICATORS, 2, 0xAAA),
            (Space.ENTRIES, 2, 0xBBB),
            (Space.PROGRAMS, 2, 0xCCC),
            (Space.WINDOWS, 2, 0xDDD),
            (Space.COMMUNICATORS, 3, 0xEEE),
            (Space.ENTRIES, 10, 0xEEE),
            (Space.PROGRAMS, 5, 0xEEE),
        ):
            ctx.set(dut.configure.payload, {"space": space, "index": index, "data": data})
            ctx.set(dut.configure.valid, 1)
            restarts = space is Space.COMMUNICATORS and index < 3
            assert ctx.get(dut.restart.valid) == restarts
            assert not restarts or ctx.get(dut.restart.index) == index
            await ctx.tick()
        ctx.set(dut.configure.valid, 0)
        for name, data in (("admit_communicator", 0xAAA), ("fetch_communicator", 0xAAA), ("entry", 0xBBB)):
            assert await read(ctx, name, 2) == data
            assert await read(ctx, name, 0) == 0
        assert await read(ctx, "program", 2) == 0xCCC

    simulate(dut, bench)


def test_admission_numbers_collectives():
    """By communicator, from 0 again after a restart; a malformed one is not counted; `hold` delays."""
    dut = Admission(partitions=2, slots=2, communicators=2, programs=1)
    peers = {"valid": 1, "ranks": 2, "partition": 1}

    async def bench(ctx):
        ctx.set(dut.communicator, peers)
        ctx.set(dut.program, {"subgraphs": 1})
        ctx.set(dut.generations[3], 0x123)
        sequences = []
        for number, (index, bad) in enumerate([(0, 0), (0, 0), (1, 0), (0, 1), (0, 0), (1, 0)]):
            if number == 4:
                ctx.set(dut.restart, {"valid": 1, "index": 1})
                await ctx.tick()
                ctx.set(dut.restart, {"valid": 0})
            descriptor = {"op": DescriptorOp.COLLECTIVE, "partition": 1, "communicator": index, "pieces": 1 - bad}
            ctx.set(dut.used, 0b0111)
            assert ctx.get(dut.room) == 0b10
            ctx.set(dut.hold, number % 2)
            await give(ctx, dut.i, descriptor=descriptor, partition=1, born=number)
            assert ctx.get(dut.admit.valid) == 1 - number % 2
            ctx.set(dut.hold, 0)
            admit = ctx.get(dut.admit)
            assert (admit.valid, admit.slot, admit.fault, admit.born) == (1, 3, Fault.PIECE * bad, number)
            assert admit.command.tag == 0x1233
            sequences.append(admit.command.sequence)
            await ctx.tick()
            assert not ctx.get(dut.admit.valid)
        assert sequences == [0, 1, 0, 2, 2, 0]

    simulate(dut, bench)


@pytest.mark.parametrize("room", [0, 1])
def test_starter_waits_for_threads_only_with_collectives(room):
    """A collective of two subgraphs and a COPY: without room the COPY alone starts."""
    dut = Starter(slots=2)
    started = []

    async def bench(ctx):
        ctx.set(dut.startable, 0b11)
        ctx.set(dut.collective, 0b01)
        ctx.set(dut.room, room)
        ctx.set(dut.work.ready, 1)
        ctx.set(dut.thread.ready, 1)
        for _ in range(12):
            slot, look = ctx.get(dut.slot), ctx.get(dut.look)
            if ctx.get(dut.start.valid):
                started.append((ctx.get(dut.start.slot), ctx.get(dut.parts)))
                ctx.set(dut.startable, ctx.get(dut.startable) & ~(1 << ctx.get(dut.start.slot)))
            await ctx.tick()
            if look:
                op = DescriptorOp.COPY if slot else DescriptorOp.COLLECTIVE
                ctx.set(dut.command, {"descriptor": {"op": op}, "program": {"subgraphs": 2}})

    simulate(dut, bench)
    assert sorted(started) == ([(0, 2), (1, 1)] if room else [(1, 1)])


def test_what_a_step_is(seed):
    """Operations to packets and jobs; slots; steps without bytes; the root that is spared."""
    draw = random.Random(seed)
    rows, expected = [], []
    messages = {
        WorkOp.WRITE: PacketOp.WRITE,
        WorkOp.WRITE_IMMEDIATE: PacketOp.WRITE_IMMEDIATE,
        WorkOp.SEND: PacketOp.SEND,
        WorkOp.RECEIVE: PacketOp.READY,
        WorkOp.REDUCE: PacketOp.REDUCE,
    }
    works = {WorkOp.SUM: MemoryOp.SUM, WorkOp.COPY: MemoryOp.COPY, WorkOp.SET: MemoryOp.SET}
    for _ in range(500):
        ranks = draw.randrange(2, 73)
        op, extent, number = draw.choice(list(WorkOp)), draw.choice(list(Extent)), draw.randrange(ranks)
        base = {name: draw.randrange(ranks) for name in ("peer", "source", "target", "chunk")}
        by_step = {name: draw.choice([-1, 0, 1]) for name in base}
        index = {name: (base[name] + by_step[name] * number) % ranks for name in base}
        lengths = {name: draw.choice([0, 64]) for name in ("full_length", "last_length", "whole_length")}
        owners, root, scaled = draw.randrange(ranks + 1), draw.randrange(ranks), draw.randrange(2)
        visit = {"op": op, "extent": extent, "ranks": ranks, "owners": owners, "root": root, "rank": 1, **lengths}
        visit |= {f"{name}_base": value for name, value in base.items()}
        visit |= {f"{name}_step": value & 3 for name, value in by_step.items()}
        visit |= {"target": 999, "target_scaled": scaled, "spares_root": draw.randrange(2), "first_port": 5}
        visit |= {"sizes": 0x5_1234_5678}
        rows.append((Visit.const(visit).as_bits(), number))
        length = 0
        if extent == Extent.WHOLE:
            length = lengths["whole_length"]
        elif extent != Extent.EMPTY and index["chunk"] < owners:
            length = lengths["last_length" if index["chunk"] == owners - 1 else "full_length"]
        left_out = (not length and extent not in (Extent.EMPTY, Extent.EVERY)) or (
            visit["spares_root"] and index["peer"] == root
        )
        is_send, is_work = op in messages, op in works
        is_placed = not is_send or length > 0
        expected.append(
            (
                *(int(is_send), int(is_work), int(bool(left_out)), index["peer"] + 5),
                length if (is_send or is_work) and op != WorkOp.RECEIVE else 0,
                *(999 * is_placed, index["target"] * scaled * is_placed),
                1 if op == WorkOp.REDUCE else index["target"],
                0x1234_5678 if op == WorkOp.SET else index["target"],
                *(messages[op] if is_send else 0, works[op].value if is_work else 0),
            )
        )
    dut = StepMaker()
    step = dut.step
    outputs = [dut.is_send, dut.is_work, dut.left_out, dut.port, step.length, step.target, step.target_index]
    outputs += [step.header.slot, step.header.immediate, step.header.op, step.op]
    assert run(dut, [dut.visit.as_value(), dut.number], outputs, rows) == expected

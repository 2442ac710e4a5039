# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""The receiver's tables: events, READYs, eager messages; each against a model in every cycle, and their clearing."""

import random
from collections import Counter

import pytest
from amaranth.hdl import Module, ResetInserter, Signal

from hdl.message.clearing import Clearing
from hdl.message.eager import EagerMessages
from hdl.message.event_table import EventTable
from hdl.message.ready import Ready
from mtia.message import EVENT, MAX_RANKS, pack, unpack

from ..pysim import simulate

COMMUNICATORS = 3


class Bench:
    """Offers items on streams at random, each until it is taken, and takes answers at random.

    inputs: a function for each stream that draws its next item; chances: that a cycle without one draws it
    take: chance that an answer may be taken
    """

    def __init__(self, dut, seed, *, inputs, chances=(0.5, 0.5), take=0.6):
        self.dut, self.rng = dut, random.Random(seed)
        self.inputs, self.take = inputs, take
        self.chances = dict(zip(inputs, chances, strict=True))
        self.offered = dict.fromkeys(inputs)

    async def step(self, ctx):
        """One cycle: the items taken by stream, the answer that was given or None, and `arrived`."""
        for name, draw in self.inputs.items():
            if self.offered[name] is None and self.rng.random() < self.chances[name]:
                self.offered[name] = draw()
            stream = getattr(self.dut, name)
            ctx.set(stream.valid, self.offered[name] is not None)
            if self.offered[name] is not None:
                ctx.set(stream.payload, self.offered[name])
        answer = self.dut.answer
        ctx.set(answer.ready, self.rng.random() < self.take)
        taken = {}
        for name in self.inputs:
            if self.offered[name] is not None and ctx.get(getattr(self.dut, name).ready):
                taken[name], self.offered[name] = self.offered[name], None
        given = None
        if ctx.get(answer.valid) and ctx.get(answer.ready):
            payload = ctx.get(answer.payload)
            given = {name: int(payload[name]) for name, _ in payload.shape()}
        arrived = ctx.get(self.dut.arrived)
        await ctx.tick()
        return taken, given, arrived


def event(**fields):
    return pack(EVENT, **fields)


def test_events_against_a_model(seed):
    """Arrivals, queries and communicators forgotten, at random."""
    rng = random.Random(seed)
    dut = EventTable(communicators=COMMUNICATORS)
    base = dict.fromkeys(range(COMMUNICATORS), 0)

    def near(communicator):
        return (base[communicator] + rng.choice([0, 0, 0, 1])) & 0xFFFF

    def arrival():
        c = rng.randrange(COMMUNICATORS)
        if rng.random() < 0.05:
            base[c] += 1
        return {
            "event": event(communicator=c, piece=rng.randrange(2), phase=rng.randrange(2), parity=near(c) & 1),
            "sequence": near(c),
            "slot": rng.choice([0, 1, 2, 71]),
        }

    def query():
        c = rng.randrange(COMMUNICATORS)
        bits = [slot for slot in (0, 1, 2, 71) if rng.random() < 0.3]
        return {
            "event": event(communicator=c, piece=rng.randrange(2), phase=rng.randrange(2), parity=near(c) & 1),
            "sequence": near(c),
            "mask": sum(1 << bit for bit in bits),
        }

    forgets = iter([400, 401, 900, 1300, -1])
    bench = Bench(dut, seed, inputs={"i": arrival, "query": query})
    table: dict[int, tuple[int, int]] = {}
    answers: Counter[int] = Counter()

    async def run(ctx):
        pending: list[int] = []
        forget_at = next(forgets)
        for cycle in range(COMMUNICATORS * 256 + 4000):
            if cycle == COMMUNICATORS * 256 + forget_at:
                ctx.set(dut.forget.valid, 1)
                ctx.set(dut.forget.payload.communicator, forget_at % 5)
            forgotten = ctx.get(dut.forget.valid) and ctx.get(dut.forget.ready)
            taken, given, arrived = await bench.step(ctx)
            assert arrived == ("i" in taken)
            if forgotten:
                assert not taken
                ctx.set(dut.forget.valid, 0)
                forget_at = next(forgets)
                which = ctx.get(dut.forget.payload.communicator)
                for each in [number for number in table if unpack(EVENT, number)["communicator"] == which]:
                    del table[each]
            if given is not None:
                expected = pending.pop(0)
                assert given["complete"] == expected
                answers[expected] += 1
            if "query" in taken:
                item = taken["query"]
                sequence, bits = table.get(item["event"], (0, 0))
                known = bits if sequence == item["sequence"] else 0
                pending.append(int(known & item["mask"] == item["mask"]))
            if "i" in taken:
                item = taken["i"]
                sequence, bits = table.get(item["event"], (0, 0))
                kept = bits if sequence == item["sequence"] else 0
                table[item["event"]] = item["sequence"], kept | 1 << item["slot"]
            assert len(pending) <= 1
            assert cycle >= COMMUNICATORS * 256 or not taken

    simulate(dut, run)
    assert min(answers[0], answers[1]) > 100


def drive(dut, *steps):
    """Arrivals and queries one after the other, each alone: the answers."""
    answers = []

    async def run(ctx):
        ctx.set(dut.answer.ready, 1)
        for name, item in steps:
            stream = getattr(dut, name)
            ctx.set(stream.payload, item)
            ctx.set(stream.valid, 1)
            await ctx.tick().until(stream.ready)
            ctx.set(stream.valid, 0)
            if name.endswith("query"):
                cycles = 0
                while not ctx.get(dut.answer.valid):
                    await ctx.tick()
                    cycles += 1
                payload = ctx.get(dut.answer.payload)
                answers.append((*(int(payload[field]) for field, _ in payload.shape()), cycles))
                await ctx.tick()

    simulate(dut, run)
    return answers


def test_stale_events_are_swept():
    """Bits of collective 3 are not taken for those of collective 3 + 2^16, once 256 others were asked for."""
    stale = {"event": event(piece=7, phase=1, parity=1), "sequence": 3, "slot": 5}
    other = event(piece=0, parity=0)
    queries = [("query", {"event": other, "sequence": sequence, "mask": 1}) for sequence in range(256)]
    asked = ("query", {"event": stale["event"], "sequence": 3, "mask": 1 << 5})
    answers = drive(EventTable(communicators=1), ("i", stale), asked, *queries, asked)
    assert [complete for complete, _ in answers] == [1] + [0] * 257
    # queries of its own collective, of the one after it and of earlier ones leave an entry as it is
    number = stale["event"] & 0xFF
    for sequence, complete in ((number, 1), (number - 1, 1), (number - 2, 0), (number + 256, 1)):
        recent = {"event": number, "sequence": sequence, "slot": 5}
        kept = ("query", {"event": number, "sequence": sequence, "mask": 1 << 5})
        sweep = ("query", {"event": other, "sequence": number, "mask": 0})
        assert drive(EventTable(communicators=1), ("i", recent), sweep, kept) == [(1, 0), (complete, 0)]


def test_questions_do_not_hold_up_arrivals():
    """An arrival a cycle, while the same event is asked for again and again; the first question takes a place."""
    dut = EventTable(communicators=1)

    async def run(ctx):
        ctx.set(dut.i.payload, {"event": 7, "sequence": 9, "slot": 0})
        ctx.set(dut.i.valid, 1)
        await ctx.tick().until(dut.i.ready)
        ctx.set(dut.query.payload, {"event": 7, "sequence": 9, "mask": 2})
        ctx.set(dut.query.valid, 1)
        ctx.set(dut.answer.ready, 1)
        taken = answers = 0
        for _ in range(MAX_RANKS):
            taken += ctx.get(dut.i.ready)
            answers += ctx.get(dut.answer.valid)
            await ctx.tick()
        assert taken == MAX_RANKS - 1
        assert answers >= MAX_RANKS // 2 - 1

    simulate(dut, run)


def test_forget_comes_through():
    """Arrivals or READYs without end do not hold it back."""
    for dut in (EventTable(communicators=1), Ready(communicators=1)):

        async def run(ctx, dut=dut):
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            await ctx.tick().repeat(5)
            ctx.set(dut.forget.valid, 1)
            taken = []
            for _ in range(3):
                taken.append(ctx.get(dut.forget.ready))
                await ctx.tick()
            assert taken == [0, 1, 0]

        simulate(dut, run)


def test_answers_come_in_time():
    """1 cycle for events and eager messages, 2 for READYs."""
    events = drive(EventTable(communicators=1), ("query", {"event": 0, "sequence": 0, "mask": 0}))
    assert events == [(1, 0)]  # cycles beyond the first
    assert drive(Ready(communicators=1), ("query", {"communicator": 0, "port": 3, "take": 1})) == [(0, 0, 1)]
    assert drive(EagerMessages(), ("query", {"source": 3, "sequence": 0})) == [(0, 0)]


def test_ready_against_a_model(seed):
    rng = random.Random(seed)
    dut = Ready(communicators=COMMUNICATORS)

    def place():
        return {"communicator": rng.randrange(COMMUNICATORS), "port": rng.choice([0, 3, MAX_RANKS - 1])}

    bench = Bench(
        dut,
        seed,
        inputs={
            "i": lambda: place() | {"offset": rng.getrandbits(48)},
            "query": lambda: place() | {"take": int(rng.random() < 0.7)},
        },
        chances=(0.1, 0.5),
    )
    table: dict[tuple[int, int], tuple[int, int]] = {}
    met: Counter[int] = Counter()
    forgotten_times = 0

    async def run(ctx):
        nonlocal forgotten_times
        pending: list[tuple[int, int]] = []
        arrived_expected = False
        for cycle in range(COMMUNICATORS * 128 + 4000):
            if cycle == COMMUNICATORS * 128 + 1000:
                ctx.set(dut.forget.valid, 1)
                ctx.set(dut.forget.payload.communicator, 1)
            forgotten = ctx.get(dut.forget.valid) and ctx.get(dut.forget.ready)
            taken, given, arrived = await bench.step(ctx)
            assert arrived == arrived_expected
            arrived_expected = "i" in taken
            if forgotten:
                ctx.set(dut.forget.valid, 0)
                for key in [key for key in table if key[0] == 1]:
                    del table[key]
                forgotten_times += 1
            if given is not None:
                available, offset = pending.pop(0)
                assert given["available"] == available
                assert not available or given["offset"] == offset
                met[available] += 1
            assert len(taken) <= 1
            if "query" in taken:
                key = taken["query"]["communicator"], taken["query"]["port"]
                count, offset = table.get(key, (0, 0))
                pending.append((int(count > 0), offset))
                table[key] = count - int(count > 0 and taken["query"]["take"]), offset
            if "i" in taken:
                key = taken["i"]["communicator"], taken["i"]["port"]
                table[key] = min(255, table.get(key, (0, 0))[0] + 1), taken["i"]["offset"]
            assert cycle >= COMMUNICATORS * 128 or not taken

    simulate(dut, run)
    assert min(met[0], met[1]) > 100
    assert forgotten_times == 1


def test_ready_keeps_255():
    token = {"communicator": 0, "port": 9, "offset": 64}
    query = ("query", {"communicator": 0, "port": 9, "take": 1})
    answers = drive(Ready(communicators=1), *[("i", token)] * 300, *[query] * 257)
    assert [available for available, _, _ in answers] == [1] * 255 + [0] * 2


def test_eager_against_a_model(seed):
    """Messages of a source come in order; all numbers up to the latest are there, modulo 2^16."""
    rng = random.Random(seed)
    dut = EagerMessages()
    latest = {0: 0xFFFF, 5: 0xFFFF, MAX_RANKS - 1: 0xFFFF}
    drawn = dict(latest)

    def message():
        source = rng.choice([*latest])
        drawn[source] = (drawn[source] + rng.choice([1, 1, 2000])) & 0xFFFF
        return {"source": source, "sequence": drawn[source]}

    def query():
        source = rng.choice([*latest])
        return {"source": source, "sequence": (latest[source] + rng.choice([-2000, -1, 0, 1, 2, 3000])) & 0xFFFF}

    bench = Bench(dut, seed, inputs={"i": message, "query": query})
    met: Counter[int] = Counter()

    async def run(ctx):
        pending: list[int] = []
        arrived_expected = False
        for cycle in range(128 + 3000):
            taken, given, arrived = await bench.step(ctx)
            assert arrived == arrived_expected
            arrived_expected = "i" in taken
            if given is not None:
                assert given["arrived"] == pending.pop(0)
                met[given["arrived"]] += 1
            if "i" in taken:  # seen in the same cycle
                latest[taken["i"]["source"]] = taken["i"]["sequence"]
            if "query" in taken:
                lead = (latest[taken["query"]["source"]] - taken["query"]["sequence"]) & 0xFFFF
                pending.append(int(lead < 1 << 15))
            assert cycle >= 128 or not taken

    simulate(dut, run)
    assert min(met[0], met[1]) > 100


def test_reset_clears():
    """What was there before a reset is gone after it."""
    for dut, item, query, entries in [
        (EventTable(communicators=1), {"event": 3, "slot": 2}, {"event": 3, "mask": 4}, 256),
        (Ready(communicators=1), {"port": 3}, {"port": 3}, 128),
        (EagerMessages(), {"source": 3}, {"source": 3}, 128),
    ]:
        reset, top = Signal(), Module()
        top.submodules.dut = ResetInserter(reset)(dut)

        async def run(ctx, dut=dut, item=item, query=query, reset=reset, entries=entries):
            ctx.set(dut.answer.ready, 1)
            for resets in (0, 1):
                if resets:
                    ctx.set(reset, 1)
                    await ctx.tick()
                    ctx.set(reset, 0)
                else:
                    await ctx.tick().repeat(entries + 1)
                    ctx.set(dut.i.payload, item)
                    ctx.set(dut.i.valid, 1)
                    await ctx.tick().until(dut.i.ready)
                    ctx.set(dut.i.valid, 0)
                ctx.set(dut.query.payload, query)
                ctx.set(dut.query.valid, 1)
                await ctx.tick().until(dut.query.ready)
                ctx.set(dut.query.valid, 0)
                while not ctx.get(dut.answer.valid):
                    await ctx.tick()
                name = next(iter(dut.answer.payload.shape()))[0]
                assert ctx.get(dut.answer.payload[name]) == 1 - resets
                await ctx.tick()

        simulate(top, run)


def test_clearing():
    """All entries after reset, then those of one communicator, not while something is under way."""
    dut = Clearing(communicators=3, entries=4)
    seen: list[int] = []
    taken: list[int] = []

    async def run(ctx):
        for cycle in range(60):
            ctx.set(dut.busy, cycle < 25)
            ctx.set(dut.forget.valid, 20 <= cycle < 40)
            ctx.set(dut.forget.payload.communicator, 2 if cycle < 32 else 3)
            if ctx.get(dut.active):
                seen.append(ctx.get(dut.index))
                assert ctx.get(dut.blocks)
            if ctx.get(dut.forget.valid) and ctx.get(dut.forget.ready):
                taken.append(cycle)
            await ctx.tick()

    simulate(dut, run)
    assert seen == [*range(12), *range(8, 12), *range(8, 12)]
    assert taken == [25, 30, *range(35, 40)]  # communicator 3 is nothing to clear


def test_parameters_wrong():
    with pytest.raises(ValueError, match="Clearing entries must be a power of two, not 6"):
        Clearing(communicators=1, entries=6)
    with pytest.raises(ValueError, match="Clearing entries must be at least 2, not 1"):
        Clearing(communicators=1, entries=1)
    with pytest.raises(ValueError, match="Clearing communicators must be in 1 to 16, not 0"):
        Clearing(communicators=0, entries=4)
    with pytest.raises(ValueError, match="Event table communicators must be in 1 to 16, not 17"):
        EventTable(communicators=17)
    with pytest.raises(TypeError, match="Ready communicators must be an integer, not None"):
        Ready(communicators=None)  # type: ignore[arg-type]  # what the test is about
    assert (Clearing(communicators=3, entries=4).communicators, Clearing(communicators=3, entries=4).entries) == (3, 4)
    assert (EventTable(communicators=2).communicators, Ready(communicators=2).communicators) == (2, 2)

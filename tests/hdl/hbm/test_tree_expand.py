"""Requests of a port: passed on as they are, and each TREE as its destination and a read of each of its slots."""

import random
from dataclasses import replace

import pytest

from hdl.hbm.commands import Geometry, MemoryOp
from hdl.hbm.port import MemoryPort
from hdl.hbm.reduce_format import ReduceFormat, ReduceKind
from hdl.hbm.tree_expand import ExpandTree
from mtia import hbm
from mtia.hbm_map import AddressMap
from mtia.near_memory import TREE_SLOTS, tree_operand

from ..pysim import simulate

#: 3 SIDs of 12 rows: of the addresses not all have a place
ORGANIZATION = replace(
    hbm.get("HBM3-6.4").organization, sids=3, bank_groups=2, banks_per_group=2, rows=12, columns=8, source="user"
)
MAP = AddressMap.of(ORGANIZATION, level="pseudo_channel")
PORT = MemoryPort.of(Geometry.of(ORGANIZATION), tag_bits=8)
PLAIN = ("op", "kind", "format", "address", "tag", "mask", "data")


def expander():
    return ExpandTree(port=PORT, address_map=MAP)


def request(rng, tag, op):
    """A random request, as fields; of a TREE also first, stride and slots, as often as not one that can be."""
    item = {
        "op": op,
        "kind": ReduceKind(rng.randrange(4)),
        "format": rng.choice(list(ReduceFormat)),
        "address": rng.randrange(MAP.atoms if rng.random() < 0.9 else 1 << MAP.address_bits),
        "tag": tag,
        "mask": rng.getrandbits(32),
        "data": rng.getrandbits(256),
    }
    if op != MemoryOp.TREE:
        return item, None
    slots = rng.choice([0, 1, 2, 3, 7, rng.randrange(TREE_SLOTS + 1), TREE_SLOTS + 1, 0x8001])
    room = max(1, MAP.atoms // max(1, slots)) if rng.random() < 0.8 else MAP.atoms
    tree = {"first": rng.randrange(room), "stride": rng.choice([0, 1, rng.randrange(room), room]), "slots": slots}
    if rng.random() < 0.1:
        tree[rng.choice(["first", "stride"])] |= 1 << rng.randrange(MAP.address_bits, 64)
    item["data"] = int.from_bytes(tree_operand(**tree), "little") | rng.getrandbits(96) << 144
    return item, tree


def expected(item, tree):
    """The steps of a request: its fields, slot, last, beyond."""
    if tree is None:
        return [(item, 0, 0, 0)]
    end = tree["first"] + tree["stride"] * (tree["slots"] - 1)
    if not 1 <= tree["slots"] <= TREE_SLOTS or max(end, item["address"]) >= MAP.atoms:
        return [(item, 0, 0, 1)]
    reads = [
        (
            item | {"op": MemoryOp.RD, "address": tree["first"] + tree["stride"] * index},
            1,
            index == tree["slots"] - 1,
            0,
        )
        for index in range(tree["slots"])
    ]
    return [(item, 0, 0, 0), *reads]


@pytest.mark.parametrize("offer, take", [(1.0, 1.0), (0.5, 0.7), (0.9, 0.2)])
def test_random(offer, take, seed):
    """All steps in order, each once, whatever waits; idle says whether a TREE is inside."""
    rng = random.Random(seed)
    dut = expander()
    items = [request(rng, tag, rng.choice(list(MemoryOp))) for tag in range(80)]
    want = [step for item in items for step in expected(*item)]
    assert {step[3] for step in want} == {0, 1}

    async def bench(ctx):
        sent, got, offered = 0, 0, False
        for _ in range(100_000):
            if got == len(want):
                break
            offered = sent < len(items) and (offered or rng.random() < offer)
            ctx.set(dut.i.valid, offered)
            if offered:
                ctx.set(dut.i.payload, items[sent][0])
            ctx.set(dut.o.ready, rng.random() < take)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                step = ctx.get(dut.o.payload)
                item, slot, last, beyond = want[got]
                assert (step["slot"], step["last"], step["beyond"]) == (slot, last, beyond)
                for name in PLAIN:
                    assert step[name] == item[name], name
                got += 1
            if offered and ctx.get(dut.i.ready):
                sent += 1
                offered = False
            await ctx.tick()
        assert (sent, got) == (len(items), len(want))
        ctx.set(dut.i.valid, 0)
        assert ctx.get(dut.idle)
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.o.valid)

    simulate(dut, bench)


@pytest.mark.parametrize("slots", [1, 2, 9])
def test_latency_and_throughput(slots):
    """Other requests pass in the cycle in which they come; a TREE of p slots takes p + 3 cycles."""
    dut = expander()
    tree = {"op": MemoryOp.TREE, "data": int.from_bytes(tree_operand(first=1, stride=1, slots=slots), "little")}

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for address in range(5):
            ctx.set(dut.i.payload, {"op": MemoryOp.RD, "address": address})
            assert all(map(ctx.get, (dut.o.valid, dut.i.ready, dut.idle)))
            assert ctx.get(dut.o.payload.address) == address
            await ctx.tick()
        ctx.set(dut.i.payload, tree)
        taken, steps = [], []
        for cycle in range(3 * (slots + 3)):
            taken += [cycle] if ctx.get(dut.i.ready) else []
            steps += [cycle] if ctx.get(dut.o.valid) else []
            assert ctx.get(dut.idle) == ctx.get(dut.i.ready)
            await ctx.tick()
        assert taken == [0, slots + 3, 2 * (slots + 3)]
        assert steps[: slots + 1] == list(range(2, slots + 3))

    simulate(dut, bench)


def test_properties():
    dut = expander()
    assert (dut.port, dut.address_map) == (PORT, MAP)

    async def bench(ctx):
        await ctx.tick()

    simulate(dut, bench)

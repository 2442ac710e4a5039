"""Front: each request to where it belongs, in order, and its acknowledgement."""

import random
from dataclasses import replace

import pytest

from golden.hbm_map import decode
from hdl.hbm.commands import Geometry, MemoryOp, Status
from hdl.hbm.front import Front
from hdl.hbm.port import MemoryPort
from hdl.hbm.reduce_format import ReduceFormat, ReduceKind
from mtia import hbm
from mtia.hbm_map import AddressMap

from ..pysim import simulate

#: 3 SIDs of 12 rows: of the addresses not all have a place
ORGANIZATION = replace(
    hbm.get("HBM3-6.4").organization, sids=3, bank_groups=2, banks_per_group=2, rows=12, columns=8, source="user"
)
GEOMETRY = Geometry.of(ORGANIZATION)
MAP = AddressMap.of(ORGANIZATION, level="pseudo_channel")
PORT = MemoryPort.of(GEOMETRY, tag_bits=8)
FULL = (1 << 32) - 1


def front():
    return Front(geometry=GEOMETRY, port=PORT, address_map=MAP)


def request(rng, tag):
    """A random request, as fields."""
    op = rng.choice([MemoryOp.RD, MemoryOp.WR, MemoryOp.RED])
    return {
        "op": op,
        "kind": ReduceKind(rng.randrange(4)),
        "format": rng.choice(list(ReduceFormat)),
        "address": rng.randrange(MAP.atoms if rng.random() < 0.8 else 1 << MAP.address_bits),
        "tag": tag,
        "mask": rng.choice([FULL, FULL, 0, rng.getrandbits(32)]),
        "data": rng.getrandbits(256),
    }


def place(address):
    """Index, row and column of an address."""
    fields = {name: int(value[0]) for name, value in decode([address], MAP).items()}
    group = fields["sid"] * ORGANIZATION.bank_groups + fields["bank_group"]
    return {
        "index": group * ORGANIZATION.banks_per_group + fields["bank"],
        "row": fields["row"],
        "column": fields["column"],
    }


def target(item):
    """Where a request goes: "nowhere", "update" or "direct"."""
    if item["address"] >= MAP.atoms:
        return "nowhere"
    if item["op"] == MemoryOp.RED or (item["op"] == MemoryOp.WR and item["mask"] != FULL):
        return "update"
    return "direct"


def plain(view, names):
    """Fields of a struct as integers."""
    return {name: int(view[name]) for name in names}


@pytest.mark.parametrize("willing", [1.0, 0.6, 0.2])
def test_random(willing, seed):
    """In order, everything once, to the right side; held atoms wait; answers as they are handed over."""
    rng = random.Random(seed)
    dut = front()
    items = [request(rng, tag % 256) for tag in range(120)]
    met: set[str] = set()

    async def bench(ctx):
        sent, done = 0, 0
        cycle = 0
        while done < len(items) and cycle < 20000:
            offered = sent < len(items) and rng.random() < 0.9
            ctx.set(dut.request.valid, offered)
            if offered:
                ctx.set(dut.request.payload, items[sent])
            ctx.set(dut.held, rng.random() < 0.3)
            ctx.set(dut.update.ready, rng.random() < willing)
            ctx.set(dut.acknowledge.ready, rng.random() < willing)
            ctx.set(dut.direct_taken, ctx.get(dut.direct_valid) and rng.random() < willing)
            leaves = self_check(ctx, dut, items[done] if done < sent else None, met)
            accepted = offered and ctx.get(dut.request.ready)
            done += leaves
            sent += accepted
            await ctx.tick()
            cycle += 1
        assert done == len(items)

    simulate(dut, bench)
    assert met == {"nowhere", "update", "direct", "held"} | ({"no room"} if willing < 1 else set())


def self_check(ctx, dut, item, met):
    """Compare all outputs of a cycle with the request that is there; gives whether it leaves."""
    direct, update = bool(ctx.get(dut.direct_valid)), bool(ctx.get(dut.update.valid))
    answered = bool(ctx.get(dut.acknowledge.valid)) and bool(ctx.get(dut.acknowledge.ready))
    if item is None:
        assert not any((direct, update, answered))
        assert not ctx.get(dut.waits)
        return False
    kind = target(item)
    held = bool(ctx.get(dut.held))
    is_read = item["op"] == MemoryOp.RD
    can_answer = bool(ctx.get(dut.acknowledge.ready))
    assert bool(ctx.get(dut.waits)) == (kind == "direct")
    if kind != "nowhere":
        assert plain(ctx.get(dut.place), ("index", "row", "column")) == place(item["address"])
    assert direct == (kind == "direct" and not held and (is_read or can_answer))
    assert update == (kind == "update" and can_answer)
    if direct:
        assert ctx.get(dut.direct.write) == (not is_read)
        assert plain(ctx.get(dut.direct.place), ("index", "row", "column")) == place(item["address"])
        assert (ctx.get(dut.tag), is_read or ctx.get(dut.data)) == (item["tag"], is_read or item["data"])
    if update:
        payload = ctx.get(dut.update.payload)
        is_write = item["op"] == MemoryOp.WR
        expected = (0, 0) if is_write else (item["kind"], item["format"])  # COPY of bytes, whatever was sent beside
        assert (payload["kind"], payload["format"]) == expected
        assert (payload["mask"], payload["data"]) == (item["mask"], item["data"])
        assert plain(payload["place"], ("index", "row", "column")) == place(item["address"])
    met |= {kind} | ({"held"} if held and kind == "direct" else set()) | ({"no room"} if not can_answer else set())
    if kind == "direct":
        leaves = direct and bool(ctx.get(dut.direct_taken))
    elif kind == "update":
        leaves = update and bool(ctx.get(dut.update.ready))
    else:
        leaves = can_answer
    assert answered == (leaves and (kind == "nowhere" or not is_read))
    if answered:
        answer = ctx.get(dut.acknowledge.payload)
        status = Status.ADDRESS if kind == "nowhere" else Status.OK
        assert (answer["tag"], answer["status"]) == (item["tag"], status)
    return leaves


def test_latency_and_throughput():
    """A request is there a cycle after it was taken; one a cycle passes."""
    dut = front()

    async def bench(ctx):
        for signal in (dut.update.ready, dut.acknowledge.ready):
            ctx.set(signal, 1)
        ctx.set(dut.direct_taken, 1)
        for cycle in range(20):
            assert ctx.get(dut.request.ready)
            op = MemoryOp.WR if cycle % 2 else MemoryOp.RD
            ctx.set(dut.request.payload, {"op": op, "address": cycle, "tag": cycle, "mask": FULL, "data": cycle})
            ctx.set(dut.request.valid, 1)
            assert bool(ctx.get(dut.direct_valid)) == (cycle > 0)
            if cycle:
                assert ctx.get(dut.tag) == cycle - 1
            await ctx.tick()

    simulate(dut, bench)


def test_properties():
    dut = front()
    assert (dut.geometry, dut.port, dut.address_map) == (GEOMETRY, PORT, MAP)

    async def bench(ctx):
        await ctx.tick()

    simulate(dut, bench)

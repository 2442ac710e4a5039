# amaranth: UnusedElaboratable=no
"""Streams spread and collected, requests routed; a stack with devices behind its channels, ids in order."""

import functools
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.lib import data

from golden.hbm_map import decode, split
from golden.hbm_memory import Memory, Op
from hdl.hbm.commands import Status
from hdl.hbm.port import MemoryPort
from hdl.hbm.pseudo_channel import PoolSizes
from hdl.hbm.route import Refuse, Route
from hdl.hbm.spread import Collect, Merge, Spread
from hdl.hbm.stack import Stack
from mtia import hbm
from mtia.hbm_map import AddressMap
from mtia.hbm_registers import ADDRESS_BITS, address_of
from tb.hbm.runner import Requests
from tb.ports import Design, design_of
from tests.hdl.hbm.channels import mixture
from tests.hdl.hbm.systems import SystemBench, compare, expected, places
from tests.hdl.pysim import simulate

HBM3 = hbm.get("HBM3-6.4")
#: two channels of few banks, neither SIDs nor rows a power of two
_FEW_BANKS = replace(HBM3.organization, channels=2, sids=3, bank_groups=2, banks_per_group=2, rows=24, source="user")
SMALL = replace(HBM3, organization=_FEW_BANKS)
MAP = AddressMap.of(SMALL.organization, level="stack")
SIZES = PoolSizes(entries=8, lines=4, responses=16)
PORTS = 2


@functools.cache
def small_design() -> Design:
    """Two channels with small pools behind two ports with ids."""
    return design_of(Stack(timing=SMALL, ports=PORTS, tag_bits=12, id_bits=2, sizes=SIZES), name="stack")


def bench_of() -> SystemBench:
    """The small stack and its devices."""
    prefixes = [f"channel_{channel}_" for channel in range(SMALL.organization.channels)]
    return SystemBench(small_design(), timing=SMALL, prefixes=prefixes, ports=PORTS, channels=len(prefixes))


def check(requests: Requests, answers: dict[str, Any], memory: Memory) -> None:
    """The answers are those of the memory; reads of an id came in order."""
    addresses = requests.fields["address"]
    compare(requests, answers, *expected(requests, [memory], np.where(addresses < MAP.atoms, 0, -1), addresses))
    came = np.argsort(answers["tag"])
    reads = requests.fields["op"] == Op.RD
    for id in range(4):
        mine = reads & (np.arange(len(requests)) % 4 == id)
        assert (np.diff(came[mine]) > 0).all()


@pytest.mark.sim
@pytest.mark.parametrize("pause", (0.0, 0.5))
def test_data_and_order(seed, pause):
    """Mixtures on both ports, which have atoms of their own, some past the end; every pseudo-channel has its part."""
    bench, random = bench_of(), np.random.default_rng(seed)
    memory = Memory(MAP)
    pools = random.permutation(MAP.atoms)[:600].reshape(PORTS, -1)
    pools[:, 0] = MAP.atoms + random.integers(0, 100, PORTS)
    requests = [mixture(random, random.choice(pool, 1200)) for pool in pools]
    pauses = {f"{name}_{port}": pause for port in range(PORTS) for name in ("request", "response")} if pause else None
    for each, answers in zip(requests, bench.run(requests, pauses=pauses, seed=seed), strict=True):
        check(each, answers, memory)
    assert (bench.commands() > 100).all()


@pytest.mark.sim
def test_every_place_of_a_row(seed):
    """All atoms of the first rows, written and read again: each goes to the pseudo-channel that has it."""
    bench = bench_of()
    addresses = np.arange(1 << 12)
    data = np.random.default_rng(seed).integers(0, 1 << 32, (len(addresses), 8), np.uint32)
    bench.run([Requests(op=Op.WR, address=addresses, data=data), Requests(op=Op.RD, address=addresses[:1])])
    # a write is answered before it is in the bank; a read of the same atom waits for it
    bench.run([Requests(op=Op.RD, address=addresses[-64:]), Requests(op=Op.RD, address=addresses[:1])])
    for channel, device in enumerate(bench.devices):
        where, inner = split(addresses, MAP)
        mine = np.flatnonzero(where == channel)
        fields = decode(addresses[mine], MAP)
        keys = device.key(**{name: fields[name] for name in fields if name != "channel"})
        stored, _ = device.read(keys)
        np.testing.assert_array_equal(stored, data[mine])
        assert len(inner)
    counts = np.bincount(places(addresses, MAP), minlength=4)
    assert (counts == len(addresses) // 4).all()


@pytest.mark.sim
def test_one_atom_a_cycle():
    """Reads of one id in the order of addresses at one port: all but one atom a cycle, refresh and all."""
    bench = bench_of()
    addresses = np.arange(4000)
    idle = Requests(op=Op.RD, address=[0])
    answers = bench.run([Requests(op=Op.RD, address=addresses), idle])[0]
    span = answers["cycle"].max() - answers["cycle"].min() + 1
    assert len(addresses) / span > 0.6  # pools of 8 entries


@pytest.mark.sim
def test_registers():
    """Each channel's registers are those of its own address."""
    bench = bench_of()
    addresses = np.arange(2000)
    addresses = addresses[places(addresses, MAP) == 2]
    idle = Requests(op=Op.RD, address=addresses[:1])
    bench.run([Requests(op=Op.RD, address=addresses), idle])
    bench.lane.run(cycles=80)
    found = []
    for channel in range(2):
        for pc in range(2):
            bench.lane.set("register_address", channel << ADDRESS_BITS | address_of("reads", pc=pc))
            bench.lane.run(cycles=3)
            found.append(bench.lane.get("register_data"))
    assert found == [0, 0, len(addresses) + 1, 0]


def _drive(dut, streams_in, streams_out, *, seed, wait, extra=None):
    """Push items into streams {stream: [const]}, pull from `streams_out` {stream: count}: lists of payloads."""
    chance = random.Random(seed)
    got: dict[int, list[Any]] = {index: [] for index in range(len(streams_out))}

    def source(stream, items):
        async def bench(ctx):
            for item in items:
                while chance.random() < wait:
                    await ctx.tick()
                if extra:
                    extra(ctx, item)
                ctx.set(stream.payload, item)
                ctx.set(stream.valid, 1)
                await ctx.tick().until(stream.ready)
                ctx.set(stream.valid, 0)

        return bench

    def sink(index, stream, count):
        async def bench(ctx):
            while len(got[index]) < count:
                ctx.set(stream.ready, chance.random() >= wait)
                _, _, valid, ready, payload = await ctx.tick().sample(stream.valid, stream.ready, stream.payload)
                if valid and ready:
                    got[index].append(payload)

        return bench

    benches = [source(stream, items) for stream, items in streams_in]
    benches += [sink(index, stream, count) for index, (stream, count) in enumerate(streams_out)]
    simulate(dut, *benches)
    return [got[index] for index in range(len(streams_out))]


@pytest.mark.parametrize("inputs", (1, 3, 4, 5, 17))
def test_merge(seed, inputs):
    """Everything comes out once, each stream's items in order."""
    dut = Merge(shape=16, inputs=inputs)
    items = [[index << 8 | item for item in range(20)] for index in range(inputs)]
    (found,) = _drive(dut, list(zip(dut.i, items, strict=True)), [(dut.o, 20 * inputs)], seed=seed, wait=0.3)
    for index in range(inputs):
        assert [item for item in found if item >> 8 == index] == items[index]
    assert dut.levels == {1: 0, 3: 1, 4: 1, 5: 2, 17: 3}[inputs]


def test_merge_turns():
    """Streams that always have an item are served equally often, one item a cycle."""
    dut = Merge(shape=8, inputs=16)

    async def bench(ctx):
        for index, stream in enumerate(dut.i):
            ctx.set(stream.payload, index)
            ctx.set(stream.valid, 1)
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(10)
        seen = []
        for _ in range(64):
            assert ctx.get(dut.o.valid)
            seen.append(ctx.get(dut.o.payload))
            await ctx.tick()
        assert all(seen.count(index) == 4 for index in range(16))

    simulate(dut, bench)


@pytest.mark.parametrize("targets", (1, 2, 5))
def test_spread(seed, targets):
    """Requests go where they are sent, in order; all responses come back."""
    port = MemoryPort(address_bits=8, tag_bits=8)
    dut = Spread(port=port, targets=targets)
    chance = random.Random(seed)
    where = [chance.randrange(targets) for _ in range(60)]
    requests = [{"tag": tag, "address": 255 - tag} for tag in range(60)]
    responses = [[{"tag": 8 * target + item} for item in range(7)] for target in range(targets)]
    *found, answers = _drive(
        dut,
        [(dut.request, requests), *zip(dut.responses, responses, strict=True)],
        [*((stream, where.count(index)) for index, stream in enumerate(dut.requests)), (dut.response, 7 * targets)],
        seed=seed,
        wait=0.3,
        extra=lambda ctx, item: ctx.set(dut.where, where[item["tag"]]) if "address" in item else None,
    )
    for target, items in enumerate(found):
        assert [item.tag for item in items] == [tag for tag in range(60) if where[tag] == target]
        assert all(item.address == 255 - item.tag for item in items)
    assert sorted(item.tag for item in answers) == [8 * target + item for target in range(targets) for item in range(7)]


@pytest.mark.parametrize("ports", (1, 3))
def test_collect(seed, ports):
    """Requests of all ports come out with the port in the tag; responses go back by it."""
    port = MemoryPort(address_bits=8, tag_bits=6)
    dut = Collect(port=port, ports=ports)
    requests = [[{"tag": tag, "address": number, "data": 3 << 254} for tag in range(20)] for number in range(ports)]
    responses = [
        {"tag": number << 6 | tag, "status": Status.ADDRESS, "data": 1 << 255 | number}
        for tag in range(20)
        for number in range(ports)
    ]
    found, *answers = _drive(
        dut,
        [*zip(dut.requests, requests, strict=True), (dut.response, responses)],
        [(dut.request, 20 * ports), *((stream, 20) for stream in dut.responses)],
        seed=seed,
        wait=0.3,
    )
    for number in range(ports):
        assert [item.tag & 63 for item in found if item.address == number] == list(range(20))
        assert all(item.tag >> 6 == number for item in found if item.address == number)
        assert all(item.data == 3 << 254 for item in found)
        assert [item.tag for item in answers[number]] == list(range(20))
        assert all((item.status, item.data) == (Status.ADDRESS, 1 << 255 | number) for item in answers[number])


def test_route(seed):
    """Targets and addresses of a stack are those of the golden map; past the end the address stays past it."""
    dut = Route(map=MAP, tag_bits=16)
    addresses = np.random.default_rng(seed).integers(0, MAP.atoms, 100)
    past = MAP.inner().inner().atoms
    items = [{"address": int(address), "tag": tag} for tag, address in enumerate([*addresses, MAP.atoms])]
    seen = []

    async def bench(ctx):
        ctx.set(dut.onward.ready, 1)
        ctx.set(dut.request.valid, 1)
        for item in items:
            ctx.set(dut.request.payload, item)
            await ctx.tick()
            assert ctx.get(dut.onward.valid)
            payload = ctx.get(dut.onward.payload)
            seen.append((payload.tag, ctx.get(dut.where), payload.address))

    simulate(dut, bench)
    channel, inner = split(addresses, MAP)
    pc, own = split(inner, MAP.inner())
    np.testing.assert_array_equal(seen[:-1], np.stack([np.arange(100), 2 * channel + pc, own], axis=1))
    assert seen[-1][2] >= past


def test_refuse():
    port = MemoryPort(address_bits=8, tag_bits=6)
    dut = Refuse(port=port)
    assert isinstance(port.response(), data.StructLayout)

    async def bench(ctx):
        ctx.set(dut.request.valid, 1)
        ctx.set(dut.request.payload.tag, 5)
        assert not ctx.get(dut.request.ready)
        ctx.set(dut.response.ready, 1)
        assert ctx.get(dut.request.ready)
        assert ctx.get(dut.response.valid)
        payload = ctx.get(dut.response.payload)
        assert (payload.tag, payload.status.name) == (5, "ADDRESS")

    simulate(dut, bench)


def test_wrong():
    port = MemoryPort(address_bits=8)
    with pytest.raises(ValueError, match=r"Merge inputs must be at least 1, not 0"):
        Merge(shape=8, inputs=0)
    with pytest.raises(ValueError, match=r"Spread targets must be at least 1, not 0"):
        Spread(port=port, targets=0)
    with pytest.raises(ValueError, match=r"Collect ports must be at least 1, not 0"):
        Collect(port=port, ports=0)
    with pytest.raises(TypeError, match=r"Route map must be an AddressMap or a SystemMap, not None"):
        Route(map=None, tag_bits=4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Route map must be of level stack, not 'channel'"):
        Route(map=MAP.inner(), tag_bits=4)
    with pytest.raises(ValueError, match=r"Stack ports must be in 1 to 64, not 0"):
        Stack(timing=SMALL, ports=0)
    with pytest.raises(ValueError, match=r"Stack address map must be of level stack, not 'channel'"):
        Stack(timing=SMALL, address_map=MAP.inner())

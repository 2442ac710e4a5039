# amaranth: UnusedElaboratable=no
"""Addresses over all stacks, sizes of the generations, and two stacks with devices behind them."""

import functools
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from golden.hbm_map import decode
from golden.hbm_memory import Memory, Op
from golden.hbm_system import join, split
from hdl.emit import emit
from hdl.hbm.memory_system import MemorySystem
from hdl.hbm.pseudo_channel import PoolSizes
from hdl.hbm.stack import Stack
from hdl.hbm.system_address import RouteSystem
from mtia import generations, hbm_profiles
from mtia.hbm import TimingSet
from mtia.hbm_map import AddressMap
from mtia.hbm_registers import ADDRESS_BITS, address_of
from mtia.hbm_system import SystemMap
from tb.hbm.runner import Requests
from tb.ports import Design, design_of
from tests.hdl.hbm.channels import mixture
from tests.hdl.hbm.systems import SystemBench, compare, expected, places
from tests.hdl.pysim import run

SIM = hbm_profiles.memory("mtia300", "sim")
#: its channel with few banks, neither SIDs nor rows a power of two
_FEW_BANKS = replace(SIM.timing.organization, bank_groups=2, banks_per_group=2, rows=24, source="user")
FEW = replace(SIM.timing, organization=_FEW_BANKS)
#: the map of what is simulated
FEW_MAP = SystemMap(stacks=2, stack=AddressMap.of(_FEW_BANKS, level="stack"))


def map_of(generation: str, size: str = "full", stacks: int | None = None) -> SystemMap:
    """The map of a generation's memory system, or of so many of its stacks."""
    shape = hbm_profiles.memory(generation, size)
    return SystemMap(stacks=stacks or shape.stacks, stack=AddressMap.of(shape.timing.organization, level="stack"))


@functools.cache
def few_design() -> Design:
    """Two stacks of one channel of few banks behind two ports."""
    sizes = PoolSizes(entries=8, lines=4, responses=16)
    return design_of(MemorySystem(timing=FEW, stacks=2, ports=2, tag_bits=12, sizes=sizes), name="memory_system")


@functools.cache
def sim_design() -> Design:
    """The memory system of the MTIA 300 at sim size: the same with all banks."""
    return design_of(MemorySystem.of("mtia300", "sim"), name="memory_system")


def bench_of(design: Callable[[], Design] = few_design, timing: TimingSet = FEW) -> SystemBench:
    """A system and its devices."""
    prefixes = [f"stack_{stack}_channel_0_" for stack in range(2)]
    return SystemBench(design(), timing=timing, prefixes=prefixes, ports=2, channels=1)


def where_of(addresses: np.ndarray, layout: SystemMap) -> tuple[np.ndarray, np.ndarray]:
    """Stack, -1 past the end, and address there."""
    known = addresses < layout.atoms
    stack, inner = split(np.where(known, addresses, 0), layout)
    return np.where(known, stack, -1), inner


@pytest.mark.sim
@pytest.mark.parametrize("pause", (0.0, 0.5))
@pytest.mark.parametrize(
    ("design", "timing"),
    ((few_design, FEW), pytest.param(sim_design, SIM.timing, marks=pytest.mark.long)),
    ids=("few banks", "sim"),
)
def test_data(seed, design, timing, pause):
    """Mixtures on both ports, which have atoms of their own, some past the end: as two golden memories say."""
    bench, random = bench_of(design, timing), np.random.default_rng(seed)
    layout = SystemMap(stacks=2, stack=AddressMap.of(timing.organization, level="stack"))
    memories = [Memory(layout.stack) for _ in range(layout.stacks)]
    pools = np.unique(random.integers(0, layout.atoms, 700))
    pools = random.permutation(pools)[:600].reshape(2, -1)
    pools[:, 0] = layout.atoms + random.integers(0, 100, 2)
    requests = [mixture(random, random.choice(pool, 1200)) for pool in pools]
    pauses = {f"{name}_{port}": pause for port in range(2) for name in ("request", "response")} if pause else None
    for each, answers in zip(requests, bench.run(requests, pauses=pauses, seed=seed), strict=True):
        where, inner = where_of(each.fields["address"], layout)
        assert (where == -1).any()
        compare(each, answers, *expected(each, memories, where, inner))
    assert (bench.commands() > 150).all()


@pytest.mark.sim
def test_all_stacks(seed):
    """Atoms that follow each other, written and read again: each is in the device of its stack."""
    bench, layout = bench_of(), FEW_MAP
    addresses = layout.atoms - 2048 + np.arange(2048)  # the highest there are
    data = np.random.default_rng(seed).integers(0, 1 << 32, (len(addresses), 8), np.uint32)
    idle = Requests(op=Op.RD, address=addresses[:1])
    bench.run([Requests(op=Op.WR, address=addresses, data=data), idle])
    answers = bench.run([Requests(op=Op.RD, address=addresses), idle])[0]
    found = np.asarray(answers["data"], np.uint32).reshape(-1, 8)[np.argsort(answers["tag"])]
    np.testing.assert_array_equal(found, data)
    where, inner = split(addresses, layout)
    for stack, device in enumerate(bench.devices):
        mine = np.flatnonzero(where == stack)
        fields = decode(inner[mine], layout.stack)
        stored, _ = device.read(device.key(**{name: fields[name] for name in fields if name != "channel"}))
        np.testing.assert_array_equal(stored, data[mine])
        assert len(mine) == len(addresses) // 2


@pytest.mark.sim
def test_registers():
    """The address names a stack, a channel and a register."""
    bench, layout = bench_of(), FEW_MAP
    addresses = np.arange(4000)
    addresses = addresses[split(addresses, layout)[0] == 1]
    idle = Requests(op=Op.RD, address=addresses[:1])
    bench.run([Requests(op=Op.RD, address=addresses), idle])
    bench.lane.run(cycles=80)
    found = []
    for stack in range(2):
        values = []
        for pc in range(2):
            bench.lane.set("register_address", stack << ADDRESS_BITS | address_of("reads", pc=pc))
            bench.lane.run(cycles=4)
            values.append(bench.lane.get("register_data"))
        found.append(sum(values))
    assert found == [0, len(addresses) + 1]


@pytest.mark.parametrize("stacks", (1, 2, 3, 6, 8, 12))
def test_route(seed, stacks):
    """Stacks and addresses there are those of the golden map, the first and the last among them."""
    layout = map_of("mtia300", stacks=stacks)
    addresses = np.random.default_rng(seed).integers(0, layout.atoms, 200)
    addresses = np.r_[addresses, 0, 1, 4, layout.atoms - 1]
    dut = RouteSystem(map=layout)
    found = run(dut, [dut.address], [dut.where, dut.inner, dut.beyond], [[int(each)] for each in addresses])
    stack, inner = split(addresses, layout)
    np.testing.assert_array_equal(found, np.stack([stack, inner, np.zeros_like(inner)], axis=1))
    np.testing.assert_array_equal(join(stack, inner, layout), addresses)


@pytest.mark.parametrize("stacks", (3, 6, 8))
def test_route_beyond(stacks):
    layout = map_of("mtia300", stacks=stacks)
    dut = RouteSystem(map=layout)
    last = (1 << layout.address_bits) - 1
    found = run(dut, [dut.address], [dut.beyond], [[layout.atoms - 1], [layout.atoms], [last]])
    assert found == [(0,), (1,), (1,)]
    with pytest.raises(ValueError, match=rf"addresses must be below {layout.atoms}, not {layout.atoms} to"):
        split([layout.atoms], layout)


@pytest.mark.parametrize("stacks", (2, 3, 6, 8))
def test_map_one_to_one(stacks):
    """All addresses of a small system: every atom of every stack once."""
    timing = hbm_profiles.memory("mtia300", "sim").timing
    tiny = replace(timing.organization, channels=2, bank_groups=2, banks_per_group=2, rows=8)
    layout = SystemMap(stacks=stacks, stack=AddressMap.of(tiny, level="stack"))
    stack, inner = split(np.arange(layout.atoms), layout)
    assert len(np.unique(stack * layout.stack.atoms + inner)) == layout.atoms
    assert (inner.min(), inner.max()) == (0, layout.stack.atoms - 1)
    assert np.unique(stack).tolist() == list(range(stacks))


@pytest.mark.parametrize("generation", generations.GENERATIONS)
@pytest.mark.parametrize("stride", (0, 2, 5, 7, 9, 11, 12, 14, 16, 18, 20))
def test_spread(generation, stride):
    """Every power-of-two stride uses all pseudo-channels of the package, each a third more than its part at most."""
    layout = map_of(generation)
    channels = layout.stack.organization.channels
    targets = layout.stacks * channels * 2
    count = min(8 * targets, layout.atoms >> stride)
    stack, inner = split(np.arange(count) << stride, layout)
    used = np.bincount(stack * channels * 2 + places(inner, layout.stack), minlength=targets)
    assert used.min() > 0
    assert used.max() <= 1.34 * count / targets


@pytest.mark.parametrize("generation", generations.GENERATIONS)
def test_profiles(generation):
    """The full size has the capacity of the package, whatever its stacks."""
    gen = generations.get(generation)
    full = hbm_profiles.memory(gen, "full")
    assert full.bytes == gen.structure.hbm.capacities[0] << 30
    assert (full.stacks, full.channels) == (gen.structure.hbm.stacks, gen.structure.hbm.channels)
    small = hbm_profiles.memory(gen, "sim")
    assert (small.stacks, small.channels) == (2, 1)


def test_fpga_size():
    """One stack of one channel: every address has an atom or is answered by its pseudo-channel."""
    system = MemorySystem.of("mtia300", "fpga")
    emitted = emit(system, name="memory")
    assert [port["name"] for port in emitted.ports["streams"]] == ["request_0", "response_0"]
    assert system.map == map_of("mtia300", "fpga")
    assert (system.stacks, system.channels, system.prefixes) == (1, 1, ("stack_0_channel_0_",))


def test_stack_of_generation():
    """A stack at a profile: its ports, and instances in place of device ports where the profile names a module."""
    stack = Stack.of("mtia300", "fpga")
    emitted = emit(stack, name="stack")
    names = [port["name"] for port in emitted.ports["ports"]]
    assert "channel_0_write_data_1" in names
    assert "hbm_phy" not in emitted.verilog
    assert (stack.channels, stack.port.address_bits) == (1, stack.address_map.address_bits)


def test_phy():
    """With a `phy` every channel has an instance of it, on the clock, and no device ports."""
    sizes = PoolSizes(entries=4, lines=2, responses=8)
    system = MemorySystem(timing=SIM.timing, stacks=1, sizes=sizes, phy="hbm_phy")
    emitted = emit(system, name="memory")
    assert not any("channel" in port["name"] for port in emitted.ports["ports"])
    (instance,) = re.findall(r"^ *hbm_phy \w+ \(.*?\);", emitted.verilog, re.MULTILINE | re.DOTALL)
    for pin in ("clk", "rst", "activate", "maintain", "column_1", "write_data_0", "read_check_1"):
        assert f".{pin}(" in instance


def test_wrong():
    timing = SIM.timing
    with pytest.raises(ValueError, match=r"Memory system ports must be in 1 to 64, not 0"):
        MemorySystem(timing=timing, stacks=1, ports=0)
    with pytest.raises(ValueError, match=r"Memory system stacks must be in 1 to 16, not 17"):
        MemorySystem(timing=timing, stacks=17, sizes=PoolSizes(entries=8))
    with pytest.raises(TypeError, match=r"Map must be a SystemMap, not None"):
        RouteSystem(map=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"stacks must be an integer, not '2'"):
        SystemMap(stacks="2", stack=map_of("mtia300").stack)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Map of a stack must be of level stack, not 'channel'"):
        SystemMap(stacks=2, stack=map_of("mtia300").stack.inner())
    with pytest.raises(ValueError, match=r"Profile .*fpga"):
        hbm_profiles.memory("mtia300", "fgpa")

"""Registers of a channel: every event counted once, cleared and read at any moment; and those of a whole channel."""

import functools
import random

import numpy as np
import pytest

from golden.hbm_memory import Op, Status
from hdl.hbm.registers import COUNTED, Registers
from mtia import hbm_registers
from mtia.hbm_ecc import POISON
from mtia.hbm_registers import BINS, LAG, REGISTERS, WIDTH, address_of, bin_range
from tb.hbm.runner import Requests
from tests.hdl.hbm.channels import TINY, Bench, mixture, tiny_design
from tests.hdl.pysim import simulate


async def read_all(ctx, dut):
    values = {}
    for row in REGISTERS:
        ctx.set(dut.address, row.address)
        await ctx.tick()
        values[row.name, row.pc] = ctx.get(dut.data)
    return values


def test_counts(seed):
    """Two periods of random events with a clear between them; what came before the clear is not seen after it."""
    dut = Registers()
    chance = random.Random(seed)
    found, expected = [], []

    async def bench(ctx):
        for _ in range(2):
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            await ctx.tick()  # what came in the cycle of the clear
            counts = {(row.name, row.pc): 0 for row in REGISTERS}
            for _ in range(chance.randrange(500, 900)):
                for pc in range(2):
                    events = {name: int(chance.random() < 0.4 + pc / 2) for name in COUNTED}
                    events["writes"] &= ~events["reads"] & 1
                    cycles = 1 << chance.randrange(BINS)
                    cycles = chance.randrange(cycles, 2 * cycles)
                    valid = int(chance.random() < 0.7)
                    ctx.set(getattr(dut, f"counted_{pc}"), events)
                    ctx.set(getattr(dut, f"latency_{pc}"), {"valid": valid, "cycles": cycles})
                    for name, value in events.items():
                        counts[name, pc] += value
                    counts["hits", pc] += events["reads"] + events["writes"] - events["activations"]
                    counts[f"latency_{cycles.bit_length() - 1}", pc] += valid
                await ctx.tick()
            for pc in range(2):
                ctx.set(getattr(dut, f"counted_{pc}"), dict.fromkeys(COUNTED, 0))
                ctx.set(getattr(dut, f"latency_{pc}"), {"valid": 0, "cycles": 0})
            await ctx.tick().repeat(LAG)
            values = await read_all(ctx, dut)
            found.append({key: hbm_registers.signed(value) for key, value in values.items() if key[0] != "cycles"})
            expected.append({key: value for key, value in counts.items() if key[0] != "cycles"})

    simulate(dut, bench)
    assert found == expected


def test_lag_and_cycles():
    """A register is never further behind than it says, cycles are counted, unused addresses read 0."""
    dut = Registers()

    async def bench(ctx):
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        ctx.set(dut.address, address_of("cycles", pc=1))
        for cycle in range(400):
            await ctx.tick()
            if cycle >= LAG:
                assert cycle - LAG <= ctx.get(dut.data) <= cycle + 1
        ctx.set(dut.address, 14)
        await ctx.tick()
        assert ctx.get(dut.data) == 0

    simulate(dut, bench)


def test_table():
    assert len({row.address for row in REGISTERS}) == len(REGISTERS) == 2 * len(hbm_registers.names())
    for row in REGISTERS:
        assert address_of(row.name, pc=row.pc) == row.address
        assert row.meaning
    assert [bin_range(number) for number in (0, 1, 5)] == [(1, 1), (2, 3), (32, 63)]
    assert bin_range(BINS - 1) == (1 << (BINS - 1), None)
    values = {f"latency_{number}": number for number in range(BINS)}
    assert hbm_registers.histogram(values)[3] == (8, 15, 3)
    assert hbm_registers.signed((1 << WIDTH) - 2) == -2


def test_table_wrong():
    with pytest.raises(ValueError, match=r"pc must be 0 or 1, not 2"):
        address_of("reads", pc=2)
    with pytest.raises(ValueError, match=r"Register .*conflict"):
        address_of("conflict")
    with pytest.raises(ValueError, match=r"Bin must be in 0 to 15, not 16"):
        bin_range(16)


def read_lane(lane, prefix=""):
    """All registers of a channel through its ports, name -> [pc 0, pc 1], once they are up to date."""
    lane.run(cycles=LAG)
    values: dict[str, list[int]] = {}
    for row in REGISTERS:
        lane.set(f"{prefix}register_address", row.address)
        lane.run(cycles=2)
        values.setdefault(row.name, []).append(hbm_registers.signed(lane.get(f"{prefix}register_data")))
    return values


def clear(lane):
    """Begin all registers of a channel from 0."""
    lane.run(cycles=LAG)
    lane.set("registers_clear", 1)
    lane.run(cycles=1)
    lane.set("registers_clear", 0)
    lane.run(cycles=2)


@functools.cache
def measured():
    """A small channel after a mixture on both ports: its registers, its results, the device's counts before."""
    bench = Bench(tiny_design(), timing=TINY)
    lane = bench.hbm.lane
    clear(lane)
    before = bench.device.counts()
    random = np.random.default_rng(5)
    addresses = [random.integers(0, bench.map.atoms, 3000) for _ in range(2)]
    for each in addresses:
        each[::3] = random.choice(each[:6], len(each[::3]))  # some atoms come often
    requests = [mixture(random, each, reads=0.6) for each in addresses]
    results = bench.run(requests)
    bench.settle()
    after = bench.device.counts()
    counts = [{name: row[name] - old[name] for name in row} for row, old in zip(after, before, strict=True)]
    return read_lane(lane), results, counts, requests


@pytest.mark.sim
def test_channel_counts():
    """Commands are those that the device saw; a refresh may fall into the cycles between the two looks."""
    values, _, counts, _ = measured()
    for pc in range(2):
        assert values["reads"][pc] == counts[pc]["RD"]
        assert values["writes"][pc] == counts[pc]["WR"]
        assert values["activations"][pc] == counts[pc]["ACT"]
        assert 0 <= values["refreshes"][pc] - counts[pc]["REFPB"] - counts[pc]["REFAB"] <= 8
        assert values["hits"][pc] == counts[pc]["RD"] + counts[pc]["WR"] - counts[pc]["ACT"]
        assert 0 < values["conflicts"][pc] <= counts[pc]["PRE"]
        assert values["turnarounds"][pc] > 0
        assert values["combined"][pc] > 0
        assert values["refresh_blocked"][pc] > 0
        assert values["corrected"][pc] == values["uncorrected"][pc] == values["poisoned"][pc] == 0


@pytest.mark.sim
def test_channel_latencies():
    """Each read is in the bin of the latency that the requester saw, save those that another answer held up."""
    values, results, _, requests = measured()
    for pc in range(2):
        reads = requests[pc].fields["op"] == Op.RD
        latency = np.concatenate([result.ports[pc].answered - result.ports[pc].accepted for result in results])[reads]
        bins = np.array([values[f"latency_{number}"][pc] for number in range(BINS)])
        seen = np.bincount(np.log2(latency).astype(int), minlength=BINS)
        assert bins.sum() == reads.sum()
        assert np.abs(np.cumsum(bins) - np.cumsum(seen)).max() < 0.05 * reads.sum()
        assert (np.cumsum(bins) >= np.cumsum(seen)).all()


@pytest.mark.sim
def test_channel_errors():
    """One read each of an atom with a flipped bit, with two, and of a lost one; its latency is what was seen.

    The corrected atom is read once more, to be written back.
    """
    bench = Bench(tiny_design(), timing=TINY)
    device, lane = bench.device, bench.hbm.lane
    places = bench.address(row=[1, 2, 3], column=5)
    for address, bits in zip(places, ((7,), (7, 9)), strict=False):
        for bit in bits:
            device.inject(int(bench.key(address)), bit=bit, kind="upset")
    words, check = device.read(bench.key(places[2:]))
    device.write(bench.key(places[2:]), words, check ^ np.uint16(POISON))
    clear(lane)
    result = bench.run([Requests(op=Op.RD, address=places, cycle=[0, 400, 800]), None], check=False)[0].ports[0]
    assert result.status.tolist() == [Status.CORRECTED, Status.UNCORRECTABLE, Status.POISON]
    bench.settle()
    values = read_lane(lane)
    assert [values[name][0] for name in ("corrected", "uncorrected", "poisoned")] == [2, 1, 1]
    assert [values[name][1] for name in ("corrected", "uncorrected", "poisoned")] == [0, 0, 0]
    latency = (result.answered - result.accepted).tolist()
    for number in range(BINS):
        assert values[f"latency_{number}"][0] == sum(each.bit_length() - 1 == number for each in latency)

# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""Accumulators: the order of the groups, the interval between two uses, first and enable."""

from typing import Any

import numpy as np
import pytest

from hdl.tensor.accumulate import AccumulatorBank
from tests.hdl.pysim import simulate


def play(depth, groups, steps, deep=False):
    """Results of steps (address, first, enable, values), one a cycle; an address of None is an idle cycle."""
    dut = AccumulatorBank(depth=depth, groups=groups, deep=deep)
    results = {}

    async def bench(ctx):
        wait = dut.read_latency_of(deep=deep)
        for cycle in range(len(steps) + dut.latency):
            values = steps[cycle - wait][3] if wait <= cycle < len(steps) + wait else [0] * groups
            for group, value in zip(dut.groups, values, strict=True):
                ctx.set(group.as_value(), value)
            address, first, enable, _ = steps[cycle] if cycle < len(steps) else (None, 0, 0, None)
            ctx.set(dut.address, address or 0)
            ctx.set(dut.first, first)
            ctx.set(dut.enable, enable)
            if cycle >= dut.latency and steps[cycle - dut.latency][0] is not None:
                results[cycle - dut.latency] = ctx.get(dut.result.as_value())
            await ctx.tick()

    simulate(dut, bench)
    return results


def model(depth, steps):
    """The same by numpy's FP32 addition, one value after the other."""
    banks = np.zeros(depth, np.float32)
    results = {}
    for cycle, (address, first, enable, values) in enumerate(steps):
        if address is None:
            continue
        total = np.float32(0) if first else banks[address]
        for value in values:
            total = np.float32(total + np.uint32(value).view(np.float32))
        results[cycle] = int(total.view(np.uint32))
        if enable:
            banks[address] = total
    return results


def values(generator, count):
    """Bits of numbers whose sum depends on the order."""
    return (
        (generator.standard_normal(count) * 4.0 ** generator.integers(-4, 5, count)).astype(np.float32).view(np.uint32)
    )


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("spare", [0, 7])
def test_against_numpy(groups, spare, deep, seed):
    """Addresses come in any order, but none again before its interval."""
    generator = np.random.default_rng(seed)
    interval = AccumulatorBank.interval_of(groups=groups, deep=deep)
    depth = interval + spare
    last = np.full(depth, -interval)
    steps: list[Any] = [(address, 1, 1, values(generator, groups).tolist()) for address in range(depth)]
    last[:] = np.arange(depth)
    for cycle in range(depth, 500):
        free = np.flatnonzero(cycle - last >= interval)
        if not len(free) or generator.random() < 0.1:
            steps.append((None, 0, 0, [0] * groups))
            continue
        address = int(generator.choice(free))
        last[address] = cycle
        steps.append(
            (address, int(generator.random() < 0.1), int(generator.random() < 0.9), values(generator, groups).tolist())
        )
    assert play(depth, groups, steps, deep) == model(depth, steps)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_interval_at_its_edge(groups, deep):
    """At the interval the sum is there; a cycle earlier the old value is read."""
    one = [int(np.float32(1).view(np.uint32))] * groups
    interval = AccumulatorBank.interval_of(groups=groups, deep=deep)
    assert interval == AccumulatorBank.latency_of(groups=groups, deep=deep) + 1
    for wait, seen in ((interval, 3), (interval - 1, 2)):
        idle = [(None, 0, 0, [0] * groups)]
        steps = [(1, 1, 1, one), *idle * (2 * interval), (1, 0, 1, one), *idle * (wait - 1), (1, 0, 1, one)]
        result = play(2, groups, steps, deep)[len(steps) - 1]
        assert np.uint32(result).view(np.float32) == seen * groups


def test_groups_are_added_in_order():
    """2**24 + 1 + 1 stays where it is; 1 + 1 + 2**24 does not."""
    big, one = (int(np.float32(x).view(np.uint32)) for x in (2.0**24, 1.0))
    results = play(2, 3, [(0, 1, 1, [big, one, one]), (1, 1, 1, [one, one, big])])
    assert [float(np.uint32(word).view(np.float32)) for word in results.values()] == [2.0**24, 2.0**24 + 2]


def test_first_starts_from_plus_zero():
    """So minus zero, and a NaN that was there, leave nothing behind."""
    nan, minus = 0x7FC00000, 0x80000000
    idle = [(None, 0, 0, [0])] * AccumulatorBank.interval_of(groups=1)
    assert list(play(2, 1, [(0, 1, 1, [nan]), *idle, (0, 1, 1, [minus])]).values()) == [nan, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 1, "groups": 1}, r"^Depth must be at least 2, not 1$"),
        ({"depth": 2, "groups": 0}, r"^Groups must be at least 1, not 0$"),
    ],
)
def test_parameters_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        AccumulatorBank(**arguments)

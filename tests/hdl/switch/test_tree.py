# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""The tree of a reduction unit: who meets whom for every number of ranks, and the sums in every order of arrival."""

import random as python_random
from collections import deque
from typing import Any

import numpy as np
import pytest

from golden import switch as golden
from hdl.switch.meeting import Meeting
from hdl.switch.reduction import ReductionUnit
from hdl.switch.tree_lane import TreeLane
from mtia.switch import SwitchParameters
from tb.lane import Lane
from tb.switch.bench import beats, packets
from tests.hdl.pysim import simulate

from .test_reduction import random_piece

#: as many ranks as there may be; two flits a contribution
RACK = SwitchParameters(ports=72, queue_flits=4, groups=1, buses=1, pieces=2, slot_bytes=96)
#: an odd number of ports, so that slots and partial results pass up levels
NINE = SwitchParameters(ports=9, queue_flits=16, groups=4, buses=2, pieces=4, slot_bytes=288)


def tree(slots):
    """The tree over slots as nested pairs."""
    while len(slots) > 1:
        paired = [tuple(slots[index : index + 2]) for index in range(0, len(slots) - 1, 2)]
        slots = paired + slots[len(slots) // 2 * 2 :]
    return slots[0]


def ordered(pair):
    """The same with the lower slot on the left."""
    if not isinstance(pair, tuple):
        return pair
    one, other = map(ordered, pair)
    return (one, other) if str(least(one)).zfill(3) < str(least(other)).zfill(3) else (other, one)


def least(pair):
    return least(pair[0]) if isinstance(pair, tuple) else pair


def test_who_meets_whom(seed):
    """Pairs of two pieces at once, any number of ranks, in any order and at any time: each result is its tree."""
    dut, random = Meeting(parameters=RACK), python_random.Random(seed)
    results = []
    wanted = []

    def work(place, ranks):
        """Pairs as (place, node, flit, last, alone, value), the flits of a pair one after the other."""
        pairs = [list(range(ranks))[index : index + 2] for index in range(0, ranks, 2)]
        rows = []
        for number in random.sample(range(len(pairs)), len(pairs)):
            value = tuple(pairs[number]) if len(pairs[number]) == 2 else pairs[number][0]
            last = number == len(pairs) - 1
            rows += [(place, 64 + number, flit, last, len(pairs[number]) == 1, value) for flit in range(2)]
        return deque(rows)

    async def bench(ctx):
        held: dict[int, Any] = {}
        looked = 0
        adders: deque[Any] = deque([None] * TreeLane.latency)
        for ranks in [1, 2, 3, 5, 7, 9, 17, 33, 63, 64, 65, 71, 72, *random.sample(range(4, 73), 4)]:
            sizes = (ranks, random.randrange(1, 73))
            queues = [work(place, size) for place, size in enumerate(sizes)]
            expected = [(place, flit, tree(list(range(size)))) for place, size in enumerate(sizes) for flit in range(2)]
            wanted.append(expected)
            came = []
            # a pair's flits follow each other, as those of a job do
            current: list[Any] = []
            offered: Any = None
            for _ in range(2000):
                if offered is None and ctx.get(dut.cleared) and random.random() < 0.8:
                    if not current and any(queues):
                        queue = random.choice([queue for queue in queues if queue])
                        current = [queue.popleft(), queue.popleft()]
                    if current:
                        offered = current.pop(0)
                ctx.set(dut.valid, offered is not None)
                if offered is not None:
                    place, node, flit, last, alone, _ = offered
                    ctx.set(dut.slot, {"place": place, "node": node, "flit": flit, "last": last, "ends": flit == 1})
                    ctx.set(dut.alone, alone)
                back = adders.popleft()
                assert (back is not None) == bool(ctx.get(dut.keep) | ctx.get(dut.again) | ctx.get(dut.is_result))
                into = None
                if ctx.get(dut.again):
                    into = ordered((held.pop(looked), back))
                if ctx.get(dut.keep):
                    assert ctx.get(dut.at) not in held
                    held[ctx.get(dut.at)] = back
                if ctx.get(dut.is_result):
                    came.append((ctx.get(dut.back.place), ctx.get(dut.back.flit), back))
                    assert ctx.get(dut.back.ends) == ctx.get(dut.back.flit)
                if ctx.get(dut.taken):
                    assert into is None
                    into, offered = offered[-1], None
                looked = ctx.get(dut.look)
                adders.append(into)
                await ctx.tick()
                if len(came) == len(expected):
                    break
            assert not held
            results.append(sorted(came, key=lambda row: row[:2]))

    simulate(dut, bench)
    assert results == wanted


@pytest.mark.sim
@pytest.mark.long
def test_all_orders_of_arrival(seed):
    """One unit, 1 to 9 ranks, four pieces at once whose contributions come in any order: golden's bytes."""
    random = np.random.default_rng(seed)
    lane = Lane(ReductionUnit(parameters=NINE), name="unit")
    for ranks in range(1, 10):
        for turn in range(6):
            pieces = [random_piece(random, ranks, destination=0, group=event % 3, event=event) for event in range(4)]
            sent = [packet for piece in pieces for packet in piece]
            lane.push("i", beats([sent[index] for index in random.permutation(len(sent))]))
            results = {golden.header(piece[0])["event"]: golden.result(piece) for piece in pieces}
            flits = [0, 0]
            for event, result in results.items():
                flits[event % 3 % 2] += len(result)
            waits = {"i": 0.3, "result__0": 0.4} if turn % 2 else {}
            until = {f"result__{bus}": count for bus, count in enumerate(flits)}
            lane.run(until, pauses=waits, seed=int(random.integers(1 << 30)), stall_cycles=1000)
            came = [packet for bus in range(2) for packet in packets(lane.pull(f"result__{bus}"))]
            assert len(came) == len(results)
            for packet in came:
                np.testing.assert_array_equal(packet, results[golden.header(packet)["event"]])
    assert lane.get("refused") == lane.get("crowded") == 0


def test_wrong():
    with pytest.raises(ValueError, match=r"^Tree lane depth must be at least 2, not 1$"):
        TreeLane(depth=1)

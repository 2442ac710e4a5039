"""Multicasts beside unicast and beside each other: to whom, in what order, without deadlock."""

from dataclasses import replace

import numpy as np
import pytest

from golden.packets import encode
from golden.switch import header
from mtia.message import Channel, PacketOp
from tb.switch.bench import packets

from .support import EIGHT, bench_of, multicast, pauses_of, unicast

#: overlapping in all ways: everyone, halves, one member, pairs across the halves, nobody
GROUPS = {0: 0xFF, 1: 0x0F, 2: 0xF0, 3: 0x3C, 4: 0x10, 5: 0x81, 6: 0}
#: one bus: everything takes turns
ONE_BUS = replace(EIGHT, buses=1)


def members(group: int) -> list[int]:
    """Ports of a group."""
    return [port for port in range(8) if GROUPS[group] >> port & 1]


@pytest.mark.sim
@pytest.mark.parametrize("parameters", (EIGHT, ONE_BUS), ids=("two_buses", "one_bus"))
@pytest.mark.parametrize("waits", ((0, 0), (0.3, 0.5), (0, 0.8)), ids=str)
def test_mixed_with_unicast(parameters, waits, seed):
    """Every port sends to overlapping groups and to all ports, on both channels; outputs stop often."""
    bench, random = bench_of(parameters), np.random.default_rng(seed)
    bench.configure(GROUPS)
    for port in range(8):
        mine = [group for group in GROUPS if port in members(group)]
        for channel in Channel:
            sent = multicast(random, channel, mine, 40) + unicast(random, channel, list(range(8)), 40)
            bench.push(port, channel, [sent[index] for index in random.permutation(len(sent))])
    bench.run(pauses=pauses_of(parameters, *waits), seed=seed)
    bench.check()


@pytest.mark.sim
@pytest.mark.parametrize("stop", (0.3, 0.9))
def test_two_buses_cross(stop, seed):
    """Long packets to the same ports on both buses, while those outputs rarely take: neither waits for the other."""
    bench, random = bench_of(), np.random.default_rng(seed)
    bench.configure({0: 0xFF, 1: 0xFF, 2: 0x0F, 3: 0xF0})
    for port in range(8):
        bench.push(port, Channel.REQUEST, multicast(random, Channel.REQUEST, [0, 1, 2 + port // 4], 60))
    bench.run(pauses={f"o_{port}__0": stop for port in range(8)}, seed=seed)
    bench.check()


@pytest.mark.sim
def test_all_outputs_see_one_order(seed):
    """The packets of two buses to the same members come in the same order everywhere."""
    bench, random = bench_of(), np.random.default_rng(seed)
    bench.configure({0: 0xFF, 1: 0xFF})
    for port in range(4):
        bench.push(port, Channel.REQUEST, multicast(random, Channel.REQUEST, [0, 1], 40, longest=400))
    bench.run(pauses={f"o_{port}__0": 0.1 * port for port in range(8)}, seed=seed)
    orders = []
    for port in range(4, 8):
        found = [header(packet) for packet in packets(bench.lane.pull(f"o_{port}__0"))]
        orders.append([(fields["source"], fields["command"]) for fields in found])
    assert len(orders[0]) == 160
    assert all(order == orders[0] for order in orders)


@pytest.mark.sim
def test_who_gets_it():
    """A RESULT goes to every member, all else to every member but the source; nobody is no one."""
    bench = bench_of()
    bench.configure(GROUPS)
    for op in (PacketOp.WRITE_IMMEDIATE, PacketOp.RESULT):
        bench.push(3, Channel.RESPONSE, [encode({"op": op, "multicast": 1, "destination": 3}, bytes(100))])
    bench.push(4, Channel.REQUEST, [encode({"multicast": 1, "destination": 4}, bytes(100))])
    bench.run()
    counts = [bench.lane.transfers(f"o_{port}__1") // 3 for port in range(8)]
    assert counts == [0, 0, 2, 1, 2, 2, 0, 0]
    bench.check()


@pytest.mark.sim
def test_links_that_are_down_are_left_out(seed):
    bench, random = bench_of(), np.random.default_rng(seed)
    bench.configure(GROUPS)
    bench.links(0b01111110)
    for port in range(1, 7):
        bench.push(port, Channel.REQUEST, multicast(random, Channel.REQUEST, [0], 30))
    bench.run()
    assert bench.lane.transfers("o_0__0") == bench.lane.transfers("o_7__0") == 0
    bench.check()


@pytest.mark.sim
def test_refused(seed):
    """To a group that one is no member of, or that there is not."""
    bench, random = bench_of(), np.random.default_rng(seed)
    bench.configure(GROUPS)
    for port in range(8):
        for channel in Channel:
            bench.push(port, channel, multicast(random, channel, [*GROUPS, 7, 8, 9, 200, 255], 60))
    bench.run(pauses=pauses_of(EIGHT, 0, 0.2), seed=seed)
    assert min(map(len, bench.model.refused.values())) > 20
    bench.check()


@pytest.mark.sim
def test_groups_change(seed):
    """Between its packets a group may get other members."""
    bench, random = bench_of(), np.random.default_rng(seed)
    for _ in range(20):
        bench.configure({1: int(random.integers(1 << 8)) | 1})
        bench.push(0, Channel.REQUEST, multicast(random, Channel.REQUEST, [1], 3))
        bench.run()
    bench.check()


@pytest.mark.sim
@pytest.mark.parametrize("length", (0, 1056))
def test_rate_and_latency(length):
    """A flit a cycle at all members at once; five cycles to each."""
    bench = bench_of()
    bench.configure({0: 0xFF})
    for port in range(8):
        bench.push(port, Channel.REQUEST, [encode({"multicast": 1, "destination": 0}, bytes(length))] * 40)
    flits = sum(bench.lane.waiting(f"i_{port}__0") for port in range(8))
    cycles = bench.run(record=True)
    assert cycles <= flits + 10
    first = min(int(bench.lane.transfer_cycles(f"o_{port}__0")[0]) for port in range(8))
    assert first - int(bench.lane.transfer_cycles("i_0__0")[0]) == 5
    bench.check()

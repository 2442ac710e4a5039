"""The switch of the domain's C++ beside the RTL, port for port: the same packets, and about the same cycles."""

import functools
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from golden import switch as golden
from golden.packets import encode
from mtia.message import Channel, PacketOp
from mtia.near_memory import ReduceKind
from mtia.switch import SwitchParameters
from tb.message.domain import Domain, DomainSettings
from tb.switch.bench import SwitchBench, compare, design_for

from .domain_node import FlitNode
from .test_domain import ROOM, received, send

pytestmark = pytest.mark.sim

EIGHT = SwitchParameters(ports=8, queue_flits=64, groups=8, buses=2, pieces=0)
FOUR = SwitchParameters(ports=4, queue_flits=16, groups=4, buses=2, pieces=4, slot_bytes=288)


@functools.cache
def design(parameters):
    return design_for(parameters)


def packet(rng, op, **fields):
    length = int(rng.integers(0, 400))
    values = {"op": op, "command": int(rng.integers(1 << 16)), "offset": 32 * int(rng.integers(1 << 20)), **fields}
    return values, rng.bytes(length)


def both(parameters, groups, sent):
    """Cycles of the RTL and of the C++ for packets (port, fields, payload); both are held to the golden model."""
    rtl = SwitchBench(parameters, design=design(parameters))
    rtl.configure({group: sum(1 << port for port in members) for group, members in groups.items()})
    rtl.lane.run(cycles=100)  # until the units have cleared their notes
    queues = {"queue_flits": parameters.queue_flits, "multicast_flits": 16}
    cpp = Domain(FlitNode(room=ROOM), nodes=parameters.ports, memory_bytes=2 * ROOM, settings=DomainSettings(**queues))
    for group, members in groups.items():
        cpp.group(group, members)
    model = golden.Switch(parameters)
    model.groups[:] = rtl.model.groups
    by_port = defaultdict(list)
    for port, fields, payload in sent:
        channel = Channel.RESPONSE if fields["op"] >= PacketOp.RESULT or fields["op"] == PacketOp.READY else 0
        by_port[port, Channel(channel)].append(encode(fields, payload))
        model.take(port, Channel(channel), by_port[port, Channel(channel)][-1])
        send(cpp, port, fields, payload)
    for (port, channel), packets in by_port.items():
        rtl.push(port, channel, packets)
    cycles = rtl.run()
    rtl.check()
    flits = sum(len(packet) for flows in model.outputs.values() for flow in flows.values() for packet in flow)
    cpp_cycles = 0
    while cpp.counts()["flits_out"] < flits and cpp_cycles < 4 * cycles + 1000:
        cpp_cycles += cpp.run(cycles=4)
    cpp.run(cycles=200)
    for port in range(parameters.ports):
        for channel in Channel:
            wanted = model.outputs.get((port, channel), {})
            came = defaultdict(list)
            for fields, payload in received(cpp, port, int(channel), sum(map(len, wanted.values()))):
                item = encode(fields, payload)
                came[golden.flow(item)].append(item)
            compare(came, wanted, f"output {port}, {channel.name}")
    return cycles, cpp_cycles


def test_unicasts_and_multicasts_of_8_ports(seed):
    rng = np.random.default_rng(seed)
    groups = {1: [0, 3, 5], 2: [1, 2, 3, 4, 5, 6, 7]}
    sent = []
    for port in range(8):
        for _ in range(40):
            own = [group for group, members in groups.items() if port in members]
            if rng.integers(5):
                fields = {"destination": int(rng.integers(8))}
            else:
                fields = {"destination": int(rng.choice(own)), "multicast": 1}
            sent.append((port, *packet(rng, PacketOp.WRITE, **fields)))
    cycles, cpp_cycles = both(EIGHT, groups, sent)
    assert 0.75 * cycles < cpp_cycles < 1.25 * cycles + 20


@pytest.mark.parametrize("shift", [1, 3])
def test_a_permutation_of_8_ports(shift, seed):
    rng = np.random.default_rng(seed)
    sent = [
        (port, *packet(rng, PacketOp.WRITE, destination=(port + shift) % 8)) for port in range(8) for _ in range(40)
    ]
    cycles, cpp_cycles = both(EIGHT, {}, sent)
    assert abs(cpp_cycles - cycles) <= 12


@pytest.mark.parametrize(
    "parameters",
    [FOUR, pytest.param(replace(FOUR, ports=8), marks=pytest.mark.long)],
    ids=lambda parameters: f"{parameters.ports}_ports",
)
def test_reductions(parameters, seed):
    """Every rank gives all units in turn a part of each piece."""
    rng, ports = np.random.default_rng(seed), parameters.ports
    sent = []
    for piece in range(4):
        payload = 32 + 64 * int(rng.integers(5))
        for step in range(ports):
            for rank in range(ports):
                chunk = (rank + step) % ports
                fields = {"op": PacketOp.REDUCE, "destination": chunk, "group": 1, "ranks": ports, "slot": rank}
                fields |= {"kind": ReduceKind.SUM, "event": piece, "immediate": chunk, "offset": 32 * chunk}
                sent.append((rank, fields, rng.bytes(payload)))
    cycles, cpp_cycles = both(parameters, {1: list(range(ports))}, sent)
    print(f"{ports} ports: {cycles} cycles of the RTL, {cpp_cycles} of the C++")
    assert abs(cpp_cycles - cycles) <= 12

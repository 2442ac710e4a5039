"""Switches that the tests share, and packets for them."""

import functools
from collections.abc import Mapping

import numpy as np

from mtia.message import CHANNEL_OF, Channel, PacketOp
from mtia.switch import MTU, SwitchParameters
from tb.ports import Design
from tb.switch.bench import Packet, SwitchBench, design_for, generated

#: two multicasts at once, nothing reduces: the adders of a unit take longer to build than all the rest of a port
EIGHT = SwitchParameters(ports=8, queue_flits=64, groups=8, buses=2, pieces=0)
#: all features on few ports
FOUR = SwitchParameters(ports=4, queue_flits=16, groups=4, buses=2, pieces=4, slot_bytes=288)
#: the 300's: no multicast, nothing reduces
PLAIN = SwitchParameters(ports=16, queue_flits=32, buses=0, pieces=0)
#: operations by channel, without those that the switch itself works on
OPS = {
    channel: [op for op in PacketOp if CHANNEL_OF[op] is channel and op not in (PacketOp.REDUCE, PacketOp.RESULT)]
    for channel in Channel
}


@functools.cache
def design(parameters: SwitchParameters) -> Design:
    """The switch as Verilog, once a process."""
    return design_for(parameters)


def bench_of(parameters: SwitchParameters = EIGHT) -> SwitchBench:
    """A new switch, its links up."""
    return SwitchBench(parameters, design=design(parameters))


def random_fields(random: np.random.Generator, channel: Channel) -> dict[str, int]:
    """A header of random values for an endpoint, without a destination."""
    return {
        "op": int(random.choice(OPS[channel])),
        "end": int(random.integers(2)),
        "acknowledge": int(random.integers(2)),
        "source": int(random.integers(256)),
        "partition": int(random.integers(256)),
        "window": int(random.integers(256)),
        "key": int(random.integers(1 << 32)),
        "offset": int(random.integers(1 << 48)),
        "sequence": int(random.integers(1 << 16)),
    }


def unicast(
    random: np.random.Generator, channel: Channel, targets: list[int], count: int, *, longest: int = MTU["sim"]
) -> list[Packet]:
    """Packets of random lengths to random ones of the targets."""
    return generated(
        random,
        count,
        lambda n: {**random_fields(random, channel), "destination": int(random.choice(targets))},
        longest=longest,
    )


def multicast(
    random: np.random.Generator, channel: Channel, groups: list[int], count: int, *, longest: int = MTU["sim"]
) -> list[Packet]:
    """Packets of random lengths to random ones of the groups."""
    return generated(
        random,
        count,
        lambda n: {
            **random_fields(random, channel),
            "destination": int(random.choice(groups)),
            "multicast": 1,
            "command": n | 0x8000,
        },
        longest=longest,
    )


def pauses_of(parameters: SwitchParameters, inputs: float, outputs: float) -> Mapping[str, float]:
    """The same chance of a pause for all inputs and for all outputs."""
    return {
        f"{side}_{port}__{int(channel)}": chance
        for side, chance in (("i", inputs), ("o", outputs))
        for port in range(parameters.ports)
        for channel in Channel
    }

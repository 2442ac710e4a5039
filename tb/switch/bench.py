"""Drives a switch with packets and holds what leaves it against the golden model."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import switch as golden
from golden.packets import encode
from hdl.switch.switch import Switch
from mtia.message import Channel
from mtia.switch import SwitchParameters

from ..lane import Lane
from ..ports import Design, design_of

Packet = NDArray[np.uint8]


def beats(packets: Sequence[Packet]) -> NDArray[np.uint32]:
    """Beats of a stream of flits, uint32 (n, 17), that carry the packets one after the other."""
    if not packets:
        return np.empty((0, 17), np.uint32)
    sizes = np.array([len(packet) for packet in packets])
    ends = np.cumsum(sizes)
    marks = np.zeros((ends[-1], 1), np.uint32)
    marks[ends - sizes] |= 1
    marks[ends - 1] |= 2
    data = np.ascontiguousarray(np.concatenate(packets)).view("<u4")
    return np.concatenate([data, marks], axis=1).astype(np.uint32)


def packets(taken: NDArray[np.uint32]) -> list[Packet]:
    """The packets in beats of a stream of flits.

    AssertionError where a packet begins without `head`, has it twice, or is not complete.
    """
    marks = taken[:, 16]
    ends = np.flatnonzero(marks & 2) + 1
    assert (ends[-1] if len(ends) else 0) == len(taken), "last packet is not complete"
    begins = np.concatenate([[0], ends[:-1]]).astype(int) if len(ends) else ends
    np.testing.assert_array_equal(np.flatnonzero(marks & 1), begins, "heads are not where packets begin")
    data = np.ascontiguousarray(taken[:, :16], "<u4").view(np.uint8)
    return [data[begin:end] for begin, end in zip(begins, ends, strict=True)]


class SwitchBench:
    """A Verilated switch beside its model: both take the same packets.

    Parameters
    ----------
    parameters : of the switch. design : what `design_for` made of it, by default made here.
    """

    def __init__(self, parameters: SwitchParameters, *, design: Design | None = None) -> None:
        self.parameters = parameters
        self.lane = Lane(design or design_for(parameters), name="switch")
        self.model = golden.Switch(parameters)
        self._reset_ports()

    def reset(self) -> None:
        """Begin again, without groups and with all links up."""
        self.lane.reset()
        self.model = golden.Switch(self.parameters)
        self._reset_ports()

    def _reset_ports(self) -> None:
        self.links(self.model.up)

    def links(self, up: int) -> None:
        """Links that are up from now on, a bit each."""
        self.model.up = up
        self.lane.set("up", up)
        self.lane.run(cycles=2)

    def configure(self, groups: Mapping[int, int]) -> None:
        """Members of groups, a bit a port."""
        for group, members in groups.items():
            self.model.groups[group] = members
            value = group | members << 8
            width = 8 + self.parameters.ports
            words = [value >> 32 * word & 0xFFFFFFFF for word in range(-(-width // 32))]
            self.lane.push("configure", np.array([words], np.uint32))
        self.lane.run()

    def push(self, port: int, channel: Channel, sent: Sequence[Packet], *, not_before: int = 0) -> None:
        """Packets come in at a port and channel, from a cycle on; the model takes them at once."""
        words = beats(sent)
        self.lane.push(f"i_{port}__{int(channel)}", words, not_before=np.full(len(words), not_before))
        for packet in sent:
            self.model.take(port, channel, packet)

    def expected(self) -> dict[str, int]:
        """Flits that the model gave, for each output and channel."""
        return {
            f"o_{port}__{int(channel)}": sum(len(packet) for flow in flows.values() for packet in flow)
            for (port, channel), flows in self.model.outputs.items()
        }

    def run(self, **options: Any) -> int:
        """Runs until all that the model gave has left, and 50 cycles more; the cycles until then."""
        cycles = self.lane.run(self.expected(), stall_cycles=options.pop("stall_cycles", 5000), **options)
        self.lane.run(cycles=50)
        return cycles

    def check(self) -> None:
        """What left is what the model gave, flow by flow; nothing more, and as many packets refused."""
        for port in range(self.parameters.ports):
            for channel in Channel:
                came: dict[Hashable, list[Packet]] = defaultdict(list)
                for packet in packets(self.lane.pull(f"o_{port}__{int(channel)}")):
                    came[golden.flow(packet)].append(packet)
                compare(came, self.model.outputs.pop((port, channel), {}), f"output {port}, {channel.name}")
            assert self.lane.get(f"refused__{port}") == len(self.model.refused[port]), f"refused of port {port}"
            if self.parameters.reduces:
                refused = self.lane.get(f"refused_contributions__{port}")
                assert refused == self.model.refused_contributions[port], f"contributions refused at port {port}"


def compare(came: Mapping[Hashable, list[Packet]], wanted: Mapping[Hashable, list[Packet]], place: str) -> None:
    """AssertionError that names the first packet of a flow that is not as wanted."""
    assert set(came) == set(wanted), f"{place}: flows {set(came) ^ set(wanted)} are only on one side"
    for flow, packets_wanted in wanted.items():
        for index, (have, want) in enumerate(zip(came[flow], packets_wanted, strict=False)):
            assert np.array_equal(have, want), (
                f"{place}: packet {index} of flow {flow} differs: {golden.header(have)} is not {golden.header(want)}"
            )
        assert len(came[flow]) == len(packets_wanted), f"{place}: {len(came[flow])} packets of flow {flow} came"


def design_for(parameters: SwitchParameters) -> Design:
    """The switch as Verilog."""
    return design_of(Switch(parameters=parameters), name="switch")


def generated(
    random: np.random.Generator, count: int, fields: Callable[[int], Mapping[str, int]], *, longest: int
) -> list[Packet]:
    """Packets of random payloads of 0 to `longest` bytes; `fields` gives the header of each by its number."""
    sizes = random.integers(0, longest + 1, count)
    return [encode({"command": n & 0xFFFF, **fields(n)}, random.bytes(size)) for n, size in enumerate(sizes.tolist())]

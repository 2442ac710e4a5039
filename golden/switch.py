"""What leaves each output of a switch, without time: routes, multicasts, refusals, and sums along the tree.

Packets are flits, uint8 (n, 64), as `golden.packets` has them. The order in which packets of different flows leave is
the scheduler's; within a flow (`flow`) it is the order in which they came.
"""

from collections import defaultdict
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from mtia.message import (
    CHANNEL_OF,
    HEADER,
    HEADER_BYTES,
    Channel,
    PacketOp,
    Reason,
    flits,
    pack,
    unpack,
)
from mtia.near_memory import ATOM_BYTES, ReduceFormat, ReduceKind
from mtia.switch import SWITCH_SOURCE, SwitchParameters

from .near_memory import tree

Packet = NDArray[np.uint8]

#: fields of a contribution that must be the same in all contributions to one result
SHARED_FIELDS = ("kind", "format", "ranks", "length", "partition", "window", "epoch", "key", "offset", "immediate")


def header(packet: Packet) -> dict[str, int]:
    """The header's fields of a packet."""
    return unpack(HEADER, int.from_bytes(packet[0, :HEADER_BYTES].tobytes(), "little"))


def with_fields(packet: Packet, **fields: int) -> Packet:
    """The packet with other values in its header."""
    result = packet.copy()
    word = pack(HEADER, **{**header(packet), **fields})
    result[0, :HEADER_BYTES] = np.frombuffer(word.to_bytes(HEADER_BYTES, "little"), np.uint8)
    return result


def flow(packet: Packet) -> Hashable:
    """What names the packets that keep their order at an output and channel.

    Packets of the same source and destination, port or group. Of those that the switch makes each is alone: answers by
    their command, results by their event, sequence and slot.
    """
    fields = header(packet)
    names = ["source", "multicast", "destination"]
    if fields["source"] == SWITCH_SOURCE:
        names += ["op", "command", "event", "sequence", "slot"]
    return tuple(fields[name] for name in names)


class Switch:
    """A switch that has all the time it needs.

    Members
    -------
    parameters : of the switch. up : links that are up, a bit each.
    groups : members of each group, a bit a port; 0 where nobody is.
    outputs : for each (port, channel) what left, flow by flow.
    refused : for each port, the reasons for which packets from it were refused at its input.
    refused_contributions : for each port, contributions that its unit refused.
    """

    def __init__(self, parameters: SwitchParameters) -> None:
        self.parameters = parameters
        self.up = (1 << parameters.ports) - 1
        self.groups = [0] * parameters.groups
        self.outputs: dict[tuple[int, Channel], dict[Hashable, list[Packet]]] = defaultdict(lambda: defaultdict(list))
        self.refused: dict[int, list[Reason]] = defaultdict(list)
        self.refused_contributions: dict[int, int] = defaultdict(int)
        self._places: dict[tuple[int, ...], dict[int, Packet]] = {}

    def take(self, port: int, channel: Channel, packet: Packet) -> None:
        """A packet comes in at a port and channel."""
        packet = with_fields(packet, source=port)
        fields = header(packet)
        reason = self.reason(fields, channel)
        if reason is not Reason.NONE:
            self.refused[port].append(reason)
            self._answer(fields, reason, channel)
        elif fields["multicast"]:
            self._multicast(packet, channel)
        elif fields["op"] == PacketOp.REDUCE:
            self._reduce(fields, packet)
        else:
            self._give(fields["destination"], channel, packet)

    def reason(self, fields: dict[str, int], channel: Channel) -> Reason:
        """Why a packet with this header, its source included, is refused before anything is done with it."""
        size = self.parameters
        multicast, reduce = bool(fields["multicast"]), fields["op"] == PacketOp.REDUCE
        if (multicast and (reduce or not size.multicasts)) or (reduce and self._is_no_reduction(fields, channel)):
            return Reason.OPERATION
        group = fields["destination"] if multicast else fields["group"]
        if multicast or reduce:
            if group < size.groups and not self.groups[group] >> fields["source"] & 1:
                return Reason.SOURCE
            if group >= size.groups:
                return Reason.RANGE
        if not multicast and not self.up >> fields["destination"] & 1:
            return Reason.RANGE
        if reduce:
            ranks, slot, length = fields["ranks"], fields["slot"], fields["length"]
            if not (0 < ranks <= size.ports and slot < ranks and length <= size.slot_bytes):
                return Reason.RANGE
        return Reason.NONE

    def _is_no_reduction(self, fields: dict[str, int], channel: Channel) -> bool:
        known = fields["kind"] in list(ReduceKind) and fields["format"] in list(ReduceFormat)
        return not (
            self.parameters.reduces and channel is Channel.REQUEST and known and fields["kind"] != ReduceKind.COPY
        )

    def _answer(self, fields: dict[str, int], reason: Reason, channel: Channel) -> None:
        is_answer = fields["op"] in list(PacketOp) and CHANNEL_OF[PacketOp(fields["op"])] is Channel.RESPONSE
        if channel is Channel.RESPONSE or is_answer:
            return
        kept = {name: fields[name] for name in ("partition", "window", "sequence", "command", "offset")}
        answer = {"op": PacketOp.REFUSED, "end": 1, "source": SWITCH_SOURCE, "immediate": reason}
        port = answer["destination"] = fields["source"]
        self._give(port, Channel.RESPONSE, _packet({**kept, **answer}, b""))

    def _multicast(self, packet: Packet, channel: Channel) -> None:
        fields = header(packet)
        members = self.groups[fields["destination"]]
        if fields["op"] != PacketOp.RESULT:
            members &= ~(1 << fields["source"])
        for port in range(self.parameters.ports):
            if members >> port & 1:
                self._give(port, channel, packet)

    def _reduce(self, fields: dict[str, int], packet: Packet) -> None:
        key = (fields["destination"], fields["group"], fields["event"], fields["sequence"])
        held = sum(1 for unit, *_ in self._places if unit == key[0])
        is_crowded = key not in self._places and held == self.parameters.pieces
        place = self._places.setdefault(key, {})
        first = header(next(iter(place.values()))) if place else fields
        differs = any(first[name] != fields[name] for name in SHARED_FIELDS)
        if is_crowded or differs or fields["slot"] in place or len(packet) != flits(fields["length"]):
            self.refused_contributions[fields["destination"]] += 1
            self._answer(fields, Reason.RANGE, Channel.REQUEST)
            if not place:
                del self._places[key]
            return
        place[fields["slot"]] = packet
        if len(place) == fields["ranks"]:
            del self._places[key]
            self._multicast(result(list(dict(sorted(place.items())).values())), Channel.RESPONSE)

    def _give(self, port: int, channel: Channel, packet: Packet) -> None:
        if self.up >> port & 1:
            self.outputs[port, channel][flow(packet)].append(packet)


def result(contributions: list[Packet]) -> Packet:
    """The RESULT of contributions in the order of their slots."""
    fields = header(contributions[0])
    atoms = [packet.reshape(-1, ATOM_BYTES)[1:] for packet in contributions]
    total = tree(ReduceKind(fields["kind"]), ReduceFormat(fields["format"]), np.stack(atoms))
    kept = ("partition", "window", "epoch", "key", "event", "sequence", "length", "offset", "group")
    made = {
        "op": PacketOp.RESULT,
        "end": 1,
        "multicast": 1,
        "source": SWITCH_SOURCE,
        "destination": fields["group"],
        "slot": fields["immediate"] & 0xFF,
    }
    return _packet({**{name: fields[name] for name in kept}, **made}, total.tobytes())


def _packet(fields: dict[str, int], atoms: bytes) -> Packet:
    """A packet whose payload is whole flits already."""
    head = pack(HEADER, **fields).to_bytes(HEADER_BYTES, "little")
    data = (head + atoms).ljust(HEADER_BYTES + ATOM_BYTES, b"\0")
    return np.frombuffer(data, np.uint8).reshape(-1, HEADER_BYTES + ATOM_BYTES).copy()

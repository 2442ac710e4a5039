"""What an accelerator receives: its memory, its windows, and what arrivals leave behind."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mtia.message import EVENT, MAX_PACKET, Channel, PacketOp, Reason, flits, unpack

from .packets import place, refusal

#: packets of a header alone, which are no part of a message
_ANSWERS = (PacketOp.READY, PacketOp.DONE, PacketOp.REFUSED)


class Packet(NamedTuple):
    """Header fields, `length` among them, and payload."""

    fields: dict[str, int]
    payload: bytes = b""

    @property
    def op(self) -> PacketOp:
        """Its operation."""
        return PacketOp(self.fields["op"])

    @property
    def flits(self) -> int:
        """Flits on the wire."""
        return flits(len(self.payload))


class Node:
    """An accelerator as its receiver sees it, at a port of the switch.

    memory:        bytes, uint8
    windows:       fields of the open windows, by number
    events:        event number -> (sequence, bits of the slots that have arrived)
    tokens:        (communicator, port) -> READYs that nobody has taken
    eager:         number of the last SEND message of each source
    refused:       packets refused, by reason
    received:      packets and flits that came
    """

    def __init__(self, port: int, memory_bytes: int, mtu: int = MAX_PACKET):
        self.port, self.mtu = port, mtu
        self.memory = np.zeros(memory_bytes, np.uint8)
        self.windows: dict[int, dict[str, int]] = {}
        self.events: dict[int, tuple[int, int]] = {}
        self.tokens: Counter[tuple[int, int]] = Counter()
        self.eager: dict[int, int] = {}
        self.refused: Counter[Reason] = Counter()
        self.received: Counter[str] = Counter()
        self._spoilt: set[tuple[int, Channel]] = set()

    def receive(self, packet: Packet, channel: Channel) -> list[Packet]:
        """Does what a packet asks for; the answers to it. DONE and REFUSED are left to the engine."""
        fields, op = packet.fields, packet.fields["op"]
        self.received.update(packets=1, flits=packet.flits)
        stream = (fields.get("source", 0), channel)
        reason = refusal(fields, self.windows.get(fields.get("window", 0)), self.mtu, channel=channel)
        in_message = op not in _ANSWERS  # an answer is whole by itself
        if in_message and reason is Reason.NONE and stream in self._spoilt and fields.get("end"):
            reason = Reason.RANGE  # the message is not whole
        elif reason is Reason.NONE:
            self._land(packet)
        if in_message and fields.get("end"):
            self._spoilt.discard(stream)
        elif in_message and reason is not Reason.NONE:
            self._spoilt.add(stream)
        if reason is not Reason.NONE:
            self.refused[reason] += 1
            return [self._answer(PacketOp.REFUSED, fields, reason)] if channel is Channel.REQUEST else []
        if in_message and channel is Channel.REQUEST and fields.get("acknowledge") and fields["end"]:
            return [self._answer(PacketOp.DONE, fields, reason)]
        return []

    def arrived(self, event: int, sequence: int, mask: int) -> bool:
        """Whether all slots of a mask have arrived in the collective of that number."""
        stored, bits = self.events.get(event, (None, 0))
        return not mask or (stored == sequence and bits & mask == mask)

    def _land(self, packet: Packet) -> None:
        fields = packet.fields
        if packet.op is PacketOp.READY:
            self.tokens[unpack(EVENT, fields.get("event", 0))["communicator"], fields["source"]] += 1
        if packet.op in _ANSWERS:
            return
        address = place(fields, self.windows[fields.get("window", 0)])
        if address + len(packet.payload) > len(self.memory):
            raise ValueError(f"Windows must lie in the {len(self.memory)} bytes of memory, not reach {address!r}")
        self.memory[address : address + len(packet.payload)] = np.frombuffer(packet.payload, np.uint8)
        if packet.op is PacketOp.SEND and fields.get("end"):
            self.eager[fields["source"]] = fields["sequence"]
        if packet.op in (PacketOp.WRITE_IMMEDIATE, PacketOp.RESULT) and fields.get("end"):
            sequence, bits = self.events.get(fields["event"], (None, 0))
            bits = bits if sequence == fields["sequence"] else 0
            self.events[fields["event"]] = (fields["sequence"], bits | 1 << fields["slot"])

    def _answer(self, op: PacketOp, fields: Mapping[str, int], reason: Reason) -> Packet:
        same = {name: fields.get(name, 0) for name in ("partition", "window", "sequence", "command", "offset")}
        end = {"op": op, "end": 1, "destination": fields["source"], "immediate": int(reason)}
        return Packet({**same, **end, "source": self.port, "length": 0})

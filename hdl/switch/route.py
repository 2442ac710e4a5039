"""Where a packet goes, and why it goes nowhere: read from its header."""

from collections.abc import Mapping, Sequence

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from mtia.message import Channel, PacketOp, Reason
from mtia.near_memory import ReduceFormat, ReduceKind
from mtia.switch import SWITCH_SOURCE, SwitchParameters

from ..link.flit import Flit
from ..message.layouts import Header
from .parts import WithChannel, WithParameters

#: What a refusal tells of the packet that was refused.
Refusal = data.StructLayout(
    {"reason": 4, "destination": 8, "partition": 8, "window": 8, "sequence": 16, "command": 16, "offset": 48}
)
#: What a REDUCE may ask for.
_REDUCES: dict[str, Sequence[int]] = {
    "kind": [kind for kind in ReduceKind if kind is not ReduceKind.COPY],
    "format": list(ReduceFormat),
}


def refused_flit(refusal: data.View) -> Value:
    """The packet REFUSED, a head flit without payload, as the value of a `Flit`."""
    fields = {
        "op": PacketOp.REFUSED,
        "end": 1,
        "source": SWITCH_SOURCE,
        "immediate": refusal.reason,
        **{name: refusal[name] for name in Refusal.members if name != "reason"},
    }
    return Cat(header_word(fields), Const(0, Flit["data"].width // 2), Const(0b11, 2))


def header_word(fields: Mapping[str, ValueLike]) -> Value:
    """The word of a header with these fields, 0 where absent; each is cut to the width that it has there."""
    parts = []
    for name, shape in Header.members.items():
        part = Value.cast(fields.get(name, 0))
        width = Shape.cast(shape).width
        parts += [part[:width], Const(0, max(0, width - len(part)))]
    return Cat(parts)


class Route(WithParameters, WithChannel, wiring.Component):
    """Queue of a packet, or the reason why the switch refuses it. Combinational.

    A packet goes to the queue of the output that `destination` names, a multicast to that of its
    group's bus (the group modulo the buses), a REDUCE to the output whose unit it is for. Refused
    are, in the order of the reasons:

    * OPERATION: a multicast where there is none, of a REDUCE too; a REDUCE where nothing reduces,
      on channel RESPONSE, of a kind that is not SUM, MAX or MIN, or of no format.
    * SOURCE: a multicast or REDUCE whose source is not of the group.
    * RANGE: no such output, or its link is down; no such group; a REDUCE of no ranks, of more than
      there are ports, or of a slot that is none of them; one longer than a slot.

    Parameters
    ----------
    parameters : of the switch.
    channel : on which the packet came.

    Members
    -------
    header : of the packet.
    up : links that are up.
    member : groups that the source is a member of.
    target : one bit high of the queues (outputs, then buses), where not refused.
    reason : why it is refused, or NONE.
    """

    def __init__(self, *, parameters: SwitchParameters, channel: Channel):
        self._parameters = parameters
        self._channel = Channel(channel)
        super().__init__(
            {
                "header": In(Header),
                "up": In(parameters.ports),
                "member": In(parameters.groups),
                "target": Out(parameters.queues),
                "reason": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        header, size = self.header, self.parameters
        is_reduce, is_member, is_there = Signal(), Signal(), Signal()
        output = Signal(size.ports)
        group = Signal(8)
        m.d.comb += [
            is_reduce.eq(header.op == PacketOp.REDUCE),
            group.eq(Mux(header.multicast, header.destination, header.group)),
            output.eq(Cat(header.destination == port for port in range(size.ports)) & self.up),
            is_member.eq((Cat(group == index for index in range(size.groups)) & self.member).any()),
            is_there.eq(Mux(header.multicast, group < size.groups, output.any())),
            self.target.eq(output),
        ]
        if size.buses:
            bus = Cat(group[: exact_log2(size.buses)] == index for index in range(size.buses))
            with m.If(header.multicast):
                m.d.comb += self.target.eq(Cat(Const(0, size.ports), bus))
        wrong = (
            (Reason.OPERATION, (header.multicast & (is_reduce | (not size.buses))) | (is_reduce & self._unknown())),
            (Reason.SOURCE, (header.multicast | is_reduce) & (group < size.groups) & ~is_member),
            (Reason.RANGE, ~is_there | (is_reduce & self._out_of_range())),
        )
        for reason, is_wrong in reversed(wrong):
            with m.If(is_wrong):
                m.d.comb += self.reason.eq(reason)
        return m

    def _unknown(self) -> Value:
        """Whether a REDUCE is not for this switch, or of no kind or format."""
        if not self.parameters.reduces or self.channel != Channel.REQUEST:
            return Const(1, 1)
        kinds, formats = (Cat(self.header[name] == item for item in items) for name, items in _REDUCES.items())
        return ~kinds.any() | ~formats.any()

    def _out_of_range(self) -> Value:
        """Whether a REDUCE has no such slot, or no room in it, or no such group."""
        header, size = self.header, self.parameters
        return (
            (header.ranks == 0)
            | (header.ranks > size.ports)
            | (header.slot >= header.ranks)
            | (header.length > size.slot_bytes)
            | (header.group >= size.groups)
        )

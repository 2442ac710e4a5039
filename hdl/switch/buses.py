"""The buses of one channel: packets that go to several outputs at once."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import Channel, PacketOp
from mtia.switch import SwitchParameters

from ..core.arbiter import Arbiter
from ..core.checks import stream_in
from ..core.connect import connect
from ..core.fifo import Queue
from ..core.shared import Shared
from ..hbm.select import RoundRobin
from ..link.flit import Flit
from ..message.layouts import Header
from .output_port import EXIT_FLITS
from .parts import WithChannel, WithParameters
from .wide import allow_wide_modules


class Buses(WithParameters, WithChannel, wiring.Component):
    """Gives the flits of multicasts to all outputs of their group, and those of the reduction units to theirs.

    A multicast of operation RESULT goes to every member of its group, any other to every member but
    its source; a packet that is no multicast to its destination alone. Outputs whose link is down
    are left out; a packet for none is dropped.

    A bus carries one packet at a time. A flit is given to all outputs of its packet in the cycle in
    which all have room for it. Packets begin one at a time over all buses of the channel, and only
    where all outputs concerned can note them: so all outputs see the packets of all buses in one
    order, and serve them in it. The oldest packet that is not complete is therefore next at each of
    its outputs and waits for none but unicast packets under way and the links: two multicasts never
    hold what the other waits for.

    Latency: 1 cycle from `i` to `o`, 0 from `result`; a flit a cycle on each bus. No packet is
    under way after reset.

    Parameters
    ----------
    parameters : of the switch, with at least one bus.
    channel : of the packets.

    Members
    -------
    i, i_valid : for each bus, a flit from the crossbar; it must be taken.
    i_room : for each bus, whether the crossbar may fetch a flit for it, as `OutputPort.room`.
    members : for each group, the outputs that are of it.
    up : links that are up.
    result : for each port and bus, stream of packets of the port's unit for the bus (channel
        RESPONSE, where the switch reduces).
    o : for each bus, a flit.
    o_valid : for each bus, the outputs that take it in this cycle, or 0.
    o_room : for each bus, outputs that can.
    begins : for each bus, outputs whose part of a packet begins, in the cycle of its head.
    may_begin : outputs that can note one.

    Raises ValueError for a switch without buses.
    """

    def __init__(self, *, parameters: SwitchParameters, channel: Channel):
        if not parameters.buses:
            raise ValueError(f"Switch buses must be at least 1 here, not {parameters.buses!r}")
        self._parameters = parameters
        self._channel = Channel(channel)
        self._reduces = parameters.reduces and channel == Channel.RESPONSE
        buses, ports = parameters.buses, parameters.ports
        super().__init__(
            {
                "i": In(Flit).array(buses),
                "i_valid": In(buses),
                "i_room": Out(buses),
                "members": In(ports).array(parameters.groups),
                "up": In(ports),
                "o": Out(Flit).array(buses),
                "o_valid": Out(ports).array(buses),
                "o_room": In(ports).array(buses),
                "begins": Out(ports).array(buses),
                "may_begin": In(ports),
                **({"result": stream_in(Flit).array(ports, buses)} if self._reduces else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        allow_wide_modules()
        m = Module()
        buses = self.parameters.buses
        sources = self._sources(m)
        wishes, turns = Signal(buses), Signal(buses)
        if buses > 1:
            m.submodules.turn = turn = RoundRobin(inputs=buses)
            m.d.comb += [turn.requests.eq(wishes), turn.taken.eq(1), turns.eq(turn.picked)]
        else:
            m.d.comb += turns.eq(wishes)
        for index, source in enumerate(sources):
            m.submodules[f"fan_out_{index}"] = fan_out = Shared(FanOut(parameters=self.parameters))
            connect(m, source, fan_out.i)
            m.d.comb += [
                fan_out.up.eq(self.up),
                *(there.eq(here) for there, here in zip(fan_out.members, self.members, strict=True)),
                *(fan_out.room.eq(self.o_room[index]), fan_out.may_begin.eq(self.may_begin)),
                *(wishes[index].eq(fan_out.wishes), fan_out.turn.eq(turns[index])),
                *(self.o[index].eq(fan_out.o), self.o_valid[index].eq(fan_out.o_valid)),
                self.begins[index].eq(fan_out.begins),
            ]
        return m

    def _sources(self, m: Module) -> list[stream.Interface]:
        """For each bus, its packets: those of the crossbar, and of the units in turn with them."""
        sources = []
        for index in range(self.parameters.buses):
            m.submodules[f"queue_{index}"] = queue = Queue(shape=Flit, depth=EXIT_FLITS)
            m.d.comb += [
                *(queue.i.payload.eq(self.i[index]), queue.i.valid.eq(self.i_valid[index])),
                self.i_room[index].eq(queue.level <= EXIT_FLITS - 2),
            ]
            sources.append(queue.o)
            if self._reduces:
                m.submodules[f"merge_{index}"] = merge = Shared(
                    Arbiter(shape=Flit, inputs=1 + self.parameters.ports, last="last")
                )
                sent = [queue.o, *(wiring.flipped(each[index]) for each in self.result)]
                for source, target in zip(sent, merge.i, strict=True):
                    connect(m, source, target)
                sources[-1] = merge.o
        return sources


class FanOut(WithParameters, wiring.Component):
    """Outputs that take the flits of one bus, as `Buses` says.

    Combinational but for the packet under way, whose outputs are those that it began with: a link
    that fails or a group that changes meanwhile makes no difference to it.

    Parameters
    ----------
    parameters : of the switch.

    Members
    -------
    i : stream of the bus's packets.
    members, up : as `Buses` takes them.
    o : a flit.
    o_valid : the outputs that take it, or 0.
    room : those that can.
    may_begin : outputs that can note a packet.
    wishes : a packet may begin: all of its outputs can note it and take its head.
    turn : it does; only where it `wishes`.
    begins : outputs that note it, or 0.
    """

    def __init__(self, *, parameters: SwitchParameters):
        self._parameters = parameters
        ports = parameters.ports
        super().__init__(
            {
                "i": stream_in(Flit),
                "members": In(ports).array(parameters.groups),
                "up": In(ports),
                "o": Out(Flit),
                "o_valid": Out(ports),
                "room": In(ports),
                "may_begin": In(ports),
                "wishes": Out(1),
                "turn": In(1),
                "begins": Out(ports),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports = self.parameters.ports
        header = Header(self.i.payload.data[: Shape.cast(Header).width])
        inside, moves, has_room = Signal(), Signal(), Signal()
        group, kept, targets, held = (Signal(ports, name=name) for name in ("group", "kept", "targets", "held"))
        with m.Switch(header.destination):
            for index, members in enumerate(self.members):
                with m.Case(index):
                    m.d.comb += group.eq(members)
        with m.If(header.op != PacketOp.RESULT):
            m.d.comb += kept.eq(Cat(header.source == port for port in range(ports)))
        alone = Cat(header.destination == port for port in range(ports))
        m.d.comb += [
            targets.eq(Mux(inside, held, Mux(header.multicast, group & ~kept, alone) & self.up)),
            has_room.eq((targets & ~self.room) == 0),
            self.wishes.eq(self.i.valid & ~inside & has_room & ((targets & ~self.may_begin) == 0)),
            moves.eq(Mux(inside, self.i.valid & has_room, self.turn)),
            *(self.i.ready.eq(moves), self.o.eq(self.i.payload)),
            self.o_valid.eq(Mux(moves, targets, 0)),
            self.begins.eq(Mux(moves & ~inside, targets, 0)),
        ]
        with m.If(moves):
            m.d.sync += [inside.eq(~self.i.payload.last), held.eq(targets)]
        return m

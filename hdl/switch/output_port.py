"""One output and channel of the switch: what comes through the crossbar and from the buses, packet by packet."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import Channel, PacketOp
from mtia.switch import SwitchParameters

from ..core.arbiter import Arbiter
from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..core.fifo import Queue
from ..link.flit import Flit
from ..message.layouts import Header
from .parts import WithChannel, WithParameters
from .route import Refusal, refused_flit

#: Flits between the crossbar or a bus and the link: those that are fetched when the link stops, and two for its pace.
EXIT_FLITS = 4
#: the operation is the first field of a head flit
_OP_BITS = Header["op"].width


class OutputPort(WithParameters, WithChannel, wiring.Component):
    """Sends packets to a link's channel, whole ones in turn from the crossbar, the buses and the refusals.

    Of the buses' packets the one that began first comes first: every output sees them in one order.
    A REDUCE that comes through the crossbar goes to the port's unit and not to the link. While the
    link is not `up`, what comes is dropped.

    Latency 1 cycle, a flit a cycle. Empty after reset.

    Parameters
    ----------
    parameters : of the switch.
    channel : of the link.

    Members
    -------
    i, i_valid : a flit from the crossbar; it must be taken.
    room : whether the crossbar may fetch one for the cycle after.
    bus, bus_valid : for each bus, a flit (this and the next three only where there are buses).
    bus_room : buses that may send one.
    begins : the bus of whose packet this output is to have a part next, one bit high, or 0; only
        while `may_begin`.
    may_begin : a packet can be noted.
    up : the link is up.
    refusal : stream of `Refusal` (channel RESPONSE only), each sent as a packet of one flit.
    reduce : stream of flits to the unit (channel REQUEST, where the switch reduces).
    o : stream of flits to the link.
    """

    def __init__(self, *, parameters: SwitchParameters, channel: Channel):
        self._parameters = parameters
        self._channel = Channel(channel)
        self._reduces = parameters.reduces and channel == Channel.REQUEST
        buses = parameters.buses
        of_buses = {
            "bus": In(Flit).array(buses),
            "bus_valid": In(buses),
            "bus_room": Out(buses),
            "begins": In(buses),
            "may_begin": Out(1),
        }
        super().__init__(
            {
                "i": In(Flit),
                "i_valid": In(1),
                "room": Out(1),
                **(of_buses if buses else {}),
                "up": In(1),
                "o": stream_out(Flit),
                **({"refusal": stream_in(Refusal)} if channel == Channel.RESPONSE else {}),
                **({"reduce": stream_out(Flit)} if self._reduces else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = Queue(shape=Flit, depth=EXIT_FLITS)
        m.d.comb += [
            *(queue.i.payload.eq(self.i), queue.i.valid.eq(self.i_valid)),
            self.room.eq(queue.level <= EXIT_FLITS - 2),  # one may be on its way
        ]
        sources = [self._without_reduce(m, queue.o) if self._reduces else queue.o]
        if self.parameters.buses:
            sources.append(self._buses(m))
        if self.channel == Channel.RESPONSE:
            refused = stream.Signature(Flit).create(path=("refused",))
            m.d.comb += [
                *(
                    Value.cast(refused.payload).eq(refused_flit(self.refusal.payload)),
                    refused.valid.eq(self.refusal.valid),
                ),
                self.refusal.ready.eq(refused.ready),
            ]
            sources.append(refused)
        chosen = sources[0]
        if len(sources) > 1:
            m.submodules.arbiter = arbiter = Arbiter(shape=Flit, inputs=len(sources), last="last")
            for source, target in zip(sources, arbiter.i, strict=True):
                connect(m, source, target)
            chosen = arbiter.o
        m.d.comb += [
            *(self.o.payload.eq(chosen.payload), self.o.valid.eq(chosen.valid & self.up)),
            chosen.ready.eq(self.o.ready | ~self.up),
        ]
        return m

    def _buses(self, m: Module) -> stream.Interface:
        """The packets of the buses in the order in which they began."""
        buses = self.parameters.buses
        queues = []
        for index in range(buses):
            m.submodules[f"bus_queue_{index}"] = queue = Queue(shape=Flit, depth=EXIT_FLITS)
            m.d.comb += [
                *(queue.i.payload.eq(self.bus[index]), queue.i.valid.eq(self.bus_valid[index])),
                self.bus_room[index].eq(queue.i.ready),
            ]
            queues.append(queue.o)
        if buses == 1:
            m.d.comb += self.may_begin.eq(1)
            return queues[0]
        m.submodules.order = order = Queue(shape=buses, depth=2 * buses)
        merged = stream.Signature(Flit).create(path=("merged",))
        m.d.comb += [
            *(order.i.payload.eq(self.begins), order.i.valid.eq(self.begins.any()), self.may_begin.eq(order.i.ready)),
            order.o.ready.eq(merged.valid & merged.ready & merged.payload.last),
        ]
        for index, queue in enumerate(queues):
            with m.If(order.o.valid & order.o.payload[index]):
                connect(m, queue, wiring.flipped(merged))
        return merged

    def _without_reduce(self, m: Module, source: stream.Interface) -> stream.Interface:
        """What of `source` is for the link; the rest goes to the unit."""
        onward = stream.Signature(Flit).create(path=("onward",))
        inside, held, is_reduce = Signal(), Signal(), Signal()
        m.d.comb += [
            is_reduce.eq(Mux(inside, held, source.payload.data[:_OP_BITS] == PacketOp.REDUCE)),
            *(onward.payload.eq(source.payload), onward.valid.eq(source.valid & ~is_reduce)),
            *(self.reduce.payload.eq(source.payload), self.reduce.valid.eq(source.valid & is_reduce)),
            source.ready.eq(Mux(is_reduce, self.reduce.ready, onward.ready)),
        ]
        with m.If(source.valid & source.ready):
            m.d.sync += [inside.eq(~source.payload.last), held.eq(is_reduce)]
        return onward

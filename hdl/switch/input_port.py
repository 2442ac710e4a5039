"""One input and channel of the switch: stamp, route, queue or refuse."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import CHANNEL_OF, Channel, Reason
from mtia.switch import SwitchParameters

from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..core.fifo import Queue
from ..hbm.select import bit_of
from ..link.flit import Flit
from ..message.layouts import Header
from .parts import WithChannel, WithParameters
from .queues import VirtualQueues
from .route import Refusal, Route

#: operations of channel RESPONSE, which are not answered when they are refused; a bit each
_ANSWERS = sum(1 << op for op, channel in CHANNEL_OF.items() if channel == Channel.RESPONSE)

#: where the head flit has its source
_SOURCE = Header["source"]


class InputPort(WithParameters, WithChannel, wiring.Component):
    """Takes the packets of a link's channel into the virtual output queues, or refuses them.

    The head flit gets the number of the input as its `source`. A packet that `Route` refuses is
    drained and counted; on channel REQUEST it is answered too, unless its operation is one of
    channel RESPONSE. A packet begins after the last flit of the one before it; one that then has no
    `head` is drained and counted as OPERATION, without an answer, as nothing in it can be believed.

    Latency: a flit taken in a cycle is pushed into its queue in the next one, and `queues` says
    what follows. Takes a flit a cycle while its queue has room; what stands before a full queue
    holds up all that is behind it. A refused packet waits for room for its answer only.

    Parameters
    ----------
    parameters : of the switch.
    channel : of the link.

    Members
    -------
    i : stream of flits from the link.
    port : number of the input.
    up, member : as `Route` takes them; those of the cycle in which a head is taken count.
    request, start, is_free, ends, room, o, o_target : as `VirtualQueues` has them.
    refusal : stream of `Refusal`, to the same port's output on channel RESPONSE (channel REQUEST
        only).
    refused : packets refused, 32 bits that wrap.
    """

    def __init__(self, *, parameters: SwitchParameters, channel: Channel):
        self._parameters = parameters
        self._channel = Channel(channel)
        queues = parameters.queues
        super().__init__(
            {
                "i": stream_in(Flit),
                "port": In(8),
                "up": In(parameters.ports),
                "member": In(parameters.groups),
                "request": Out(queues),
                "start": In(queues),
                "is_free": Out(1),
                "ends": Out(queues),
                "room": In(queues),
                "o": Out(Flit),
                "o_target": Out(queues),
                "refused": Out(32),
                **({"refusal": stream_out(Refusal)} if channel == Channel.REQUEST else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size = self.parameters
        m.submodules.route = route = Route(parameters=size, channel=self.channel)
        m.submodules.queues = queues = VirtualQueues(queues=size.queues, depth=size.queue_flits)
        flit, stamped = Signal(Flit, reset_less=True), Signal(Flit)
        valid, first, is_first, has_head = Signal(), Signal(init=1), Signal(), Signal()
        leaves, answered, is_good = Signal(), Signal(), Signal()
        reason, target, pushes = Signal(4), Signal(size.queues), Signal(size.queues)
        m.d.comb += [
            *(Value.cast(route.header).eq(self.i.payload.data), route.up.eq(self.up), route.member.eq(self.member)),
            *(stamped.eq(self.i.payload), is_good.eq(reason == Reason.NONE), pushes.eq(target & ~queues.full)),
            self.i.ready.eq(~valid | leaves),
            leaves.eq(Mux(is_good, pushes.any(), ~is_first | answered)),
            *(queues.push.eq(Mux(valid & is_good, pushes, 0)), queues.i.eq(flit)),
            *(queues.start.eq(self.start), queues.room.eq(self.room), self.is_free.eq(queues.is_free)),
            self.ends.eq(queues.ends),
            *(self.request.eq(queues.request), self.o.eq(queues.o), self.o_target.eq(queues.o_target)),
        ]
        with m.If(first):
            m.d.comb += stamped.data[_SOURCE.offset : _SOURCE.offset + _SOURCE.width].eq(self.port)
        with m.If(self.i.ready):
            m.d.sync += [valid.eq(self.i.valid), is_first.eq(first), flit.eq(stamped)]
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += first.eq(self.i.payload.last)
            with m.If(first):
                m.d.sync += has_head.eq(self.i.payload.head)
                m.d.sync += reason.eq(Mux(self.i.payload.head, route.reason, Reason.OPERATION))
                m.d.sync += target.eq(route.target)
        refuses = Signal()
        m.d.comb += refuses.eq(valid & is_first & ~is_good)
        m.d.sync += self.refused.eq(self.refused + (refuses & answered))
        self._answer(m, Header(flit.data[: Shape.cast(Header).width]), reason, refuses & has_head, answered)
        return m

    def _answer(self, m: Module, header: data.View, reason: Signal, refuses: Value, answered: Signal) -> None:
        """The answer to a packet that is refused, where it gets one; `answered` while there is room for it."""
        if self.channel != Channel.REQUEST:
            m.d.comb += answered.eq(1)
            return
        m.submodules.answers = answers = Queue(shape=Refusal, depth=2)
        asks = Signal()
        m.d.comb += [
            asks.eq(refuses & ~bit_of(Const(_ANSWERS, 1 << len(header.op)), header.op)),
            *(answers.i.payload[name].eq(header[name]) for name in Refusal.members if name in header.shape().members),
            *(answers.i.payload.destination.eq(self.port), answers.i.payload.reason.eq(reason)),
            *(answers.i.valid.eq(asks), answered.eq(~asks | answers.i.ready)),
        ]
        connect(m, answers.o, wiring.flipped(self.refusal))

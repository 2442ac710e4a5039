"""Packets of a header alone, for the RESPONSE channel."""

from amaranth import *
from amaranth.lib import wiring

from mtia.message import PacketOp, Reason

from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..core.fifo import Queue
from ..link.flit import Flit
from .layouts import Header
from .ports import Reply, SendJob, Sent

HEADER_BITS = Header.size


class Respond(wiring.Component):
    """Answers packets: makes DONEs and REFUSEDs of replies. Latency 1 cycle, throughput one a cycle.

    Members
    -------
    i : stream of `Reply`.
    o : stream of flits, each a packet, in the order of the replies.
    """

    def __init__(self) -> None:
        super().__init__({"i": stream_in(Reply), "o": stream_out(Flit)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        reply, header = self.i.payload, Signal(Header)
        kept = Signal(Header, reset_less=True)
        m.d.comb += [
            self.i.ready.eq(~self.o.valid | self.o.ready),
            header.op.eq(Mux(reply.reason == Reason.NONE, PacketOp.DONE, PacketOp.REFUSED)),
            header.end.eq(1),
            header.immediate.eq(reply.reason),
            *(header[name].eq(reply[name]) for name, _ in Reply if name != "reason"),
            self.o.payload.data.eq(kept),
            self.o.payload.head.eq(1),
            self.o.payload.last.eq(1),
        ]
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += kept.eq(header)
        return m


class Announce(wiring.Component):
    """Sends jobs without payload, whose header is their packet: READYs. Latency 1 cycle, throughput one a cycle.

    Members
    -------
    i : stream of `SendJob`; `source` and `length` are not looked at.
    o : stream of flits, each a packet.
    sent : stream of {thread}, in the cycle after the flit has left. While two are not taken no flit
        is offered.
    """

    def __init__(self) -> None:
        super().__init__({"i": stream_in(SendJob), "o": stream_out(Flit), "sent": stream_out(Sent)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        header, thread = Signal(Header, reset_less=True), Signal(5, reset_less=True)
        valid, free = Signal(), Signal()
        m.submodules.sents = sents = Queue(shape=Sent, depth=2)
        m.d.comb += [
            self.o.valid.eq(valid & sents.i.ready),
            sents.i.valid.eq(valid & self.o.ready),
            sents.i.payload.thread.eq(thread),
            free.eq(~valid | (sents.i.ready & self.o.ready)),
            self.i.ready.eq(free),
            self.o.payload.data.eq(header),
            self.o.payload.head.eq(1),
            self.o.payload.last.eq(1),
        ]
        with m.If(free):
            m.d.sync += valid.eq(self.i.valid)
        with m.If(self.i.valid & free):
            m.d.sync += [
                header.eq(self.i.payload.header),
                header.end.eq(1),
                header.length.eq(0),
                thread.eq(self.i.payload.thread),
            ]
        connect(m, sents.o, wiring.flipped(self.sent))
        return m

"""Puts flits together from headers and payload."""

from amaranth import *
from amaranth.lib import wiring

from mtia.message import FLIT_BYTES

from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..core.fifo import Queue
from ..link.flit import Flit
from .layouts import Header
from .packetize import Plan
from .ports import FLIT_BITS, ReadData, Sent

HEADER_BITS = Header.size


class Assemble(wiring.Component):
    """Makes a flit of each plan: a head of a header and 32 bytes, or 64 bytes; bytes past `count` are zero.

    Latency: 1 cycle from the last of what a flit needs to the flit; `sent` in the cycle after a
    final one has left. Throughput: a flit a cycle. Flits leave in the order of their plans.

    Members
    -------
    plan : stream of `Plan`.
    header : stream of headers, one a head.
    data : stream of {data}, one a flit that has data.
    o : stream of flits.
    sent : stream of {thread}: the final flit of a message has left. While two are not taken no
        further final flit is offered.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "plan": stream_in(Plan),
                "header": stream_in(Header),
                "data": stream_in(ReadData),
                "o": stream_out(Flit),
                "sent": stream_out(Sent),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        plan, flit = self.plan.payload, Signal(Flit, reset_less=True)
        valid, final, thread = Signal(), Signal(), Signal(5, reset_less=True)
        free, complete = Signal(), Signal()
        m.submodules.sents = sents = Queue(shape=Sent, depth=2)
        kept, bytes_left = Signal(FLIT_BITS), Signal(7)
        m.d.comb += [
            # payload past the end is cut off by a mask: all ones, moved down by 8 bits a byte that does not count
            bytes_left.eq(FLIT_BYTES - plan.count),
            kept.eq(self.data.payload.data & (Const((1 << FLIT_BITS) - 1, FLIT_BITS) >> Cat(Const(0, 3), bytes_left))),
            self.o.valid.eq(valid & (~final | sents.i.ready)),
            sents.i.valid.eq(valid & final & self.o.ready),
            sents.i.payload.thread.eq(thread),
            self.o.payload.eq(flit),
            free.eq(~valid | (self.o.valid & self.o.ready)),
            complete.eq(self.plan.valid & (~plan.head | self.header.valid) & (~plan.has_data | self.data.valid)),
            self.plan.ready.eq(free & complete),
            self.header.ready.eq(free & complete & plan.head),
            self.data.ready.eq(free & complete & plan.has_data),
        ]
        with m.If(free):
            m.d.sync += valid.eq(complete)
        with m.If(self.plan.ready):
            m.d.sync += [
                final.eq(plan.final),
                thread.eq(plan.thread),
                flit.head.eq(plan.head),
                flit.last.eq(plan.last),
                flit.data.eq(Mux(plan.head, Cat(self.header.payload, kept[:HEADER_BITS]), kept)),
            ]
        connect(m, sents.o, wiring.flipped(self.sent))
        return m

"""Which eager messages have come, counted for each source by itself."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import Out

from ..core.checks import stream_in, stream_out
from .clearing import Clearing
from .ports import Eager, EagerAnswer
from .ready import PORT_BITS


class EagerMessages(wiring.Component):
    """Keeps the number of the latest eager message of each source.

    Messages of a source come in order, so that all earlier ones are there too: a query finds a
    message arrived if its number is the latest or up to 2^15 - 1 before it, modulo 2^16. Before the
    first message, that of number 0, the latest is number 2^16 - 1. After reset the table is set to
    that, a source a cycle; all else waits.

    Latency: a message is seen by a query taken in the same cycle or later; the answer comes 1 cycle
    after the query. Throughput: a message a cycle, a query every 2 cycles.

    Members
    -------
    i : stream of {source, sequence}.
    query : stream of {source, sequence}.
    answer : stream of {arrived}, one for each in order.
    arrived : in the cycle after it was taken: a message has come.
    """

    def __init__(self) -> None:
        super().__init__(
            {"i": stream_in(Eager), "query": stream_in(Eager), "answer": stream_out(EagerAnswer), "arrived": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.clearing = clearing = Clearing(communicators=1, entries=1 << PORT_BITS)
        m.submodules.table = table = memory.Memory(shape=16, depth=1 << PORT_BITS, init=[])
        write = table.write_port()
        read = table.read_port(transparent_for=(write,))
        asked, waiting, taken, lead = Signal(16, reset_less=True), Signal(), Signal(), Signal(16)
        arrives = Signal()
        m.d.comb += [
            self.i.ready.eq(~clearing.blocks),
            arrives.eq(self.i.valid & self.i.ready),
            write.en.eq(clearing.active | arrives),
            write.addr.eq(Mux(clearing.active, clearing.index, self.i.payload.source)),
            write.data.eq(Mux(clearing.active, 0xFFFF, self.i.payload.sequence)),
            self.query.ready.eq(~waiting & ~clearing.blocks),
            taken.eq(self.query.valid & self.query.ready),
            read.en.eq(taken),
            read.addr.eq(self.query.payload.source),
            lead.eq(read.data - asked),
            self.answer.valid.eq(waiting),
            self.answer.payload.arrived.eq(~lead[-1]),
        ]
        m.d.sync += self.arrived.eq(arrives)
        with m.If(taken):
            m.d.sync += [waiting.eq(1), asked.eq(self.query.payload.sequence)]
        with m.Elif(self.answer.ready):
            m.d.sync += waiting.eq(0)
        return m

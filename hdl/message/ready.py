"""Which peers have said READY."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import Out
from amaranth.utils import ceil_log2

from mtia.message import MAX_RANKS

from ..core.arbiter import Arbiter
from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from .clearing import Clearing
from .limits import require_communicators
from .ports import ADDRESS_BITS, Forget, ReadyAnswer, ReadyQuery, Token

#: bits of a port's number in the table
PORT_BITS = ceil_log2(MAX_RANKS)
#: an entry: READYs that came and were not taken, and the offset of the latest
Entry = data.StructLayout({"count": 8, "offset": ADDRESS_BITS})
_Operation = data.StructLayout({**{name: field.shape for name, field in Token}, "asks": 1, "take": 1})


class Ready(wiring.Component):
    """Counts READYs by communicator and port of the switch, and gives them out one by one.

    A READY adds 1 to its count (at most 255 are kept) and replaces the offset. A query tells
    whether there is one and the offset of the latest; with `take` it takes one away. After reset,
    and when a communicator is forgotten, counts are cleared, one a cycle; all else waits.

    Latency: a READY taken in cycle t is seen by a query taken in t + 1; the answer comes 2 cycles
    after the query. Throughput: a READY a cycle, a query every 3 cycles, in turn.

    Parameters
    ----------
    communicators : 1 to 16. Tokens are of these and of ports below 128.

    Members
    -------
    i : stream of {communicator, port, offset}.
    query : stream of {communicator, port, take}.
    answer : stream of {available, offset}, one for each in order.
    forget : stream of {communicator}.
    arrived : in the first cycle in which a query may see it: a READY was counted.

    Raises TypeError or ValueError for `communicators` that are no such number.
    """

    def __init__(self, *, communicators: int = 16):
        self._communicators = require_communicators("Ready communicators", communicators)
        super().__init__(
            {
                "i": stream_in(Token),
                "query": stream_in(ReadyQuery),
                "answer": stream_out(ReadyAnswer),
                "forget": stream_in(Forget),
                "arrived": Out(1),
            }
        )

    @property
    def communicators(self) -> int:
        """Communicators whose READYs are counted."""
        return self._communicators

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.clearing = clearing = Clearing(communicators=self.communicators, entries=1 << PORT_BITS)
        m.submodules.table = table = memory.Memory(shape=Entry, depth=self.communicators << PORT_BITS, init=[])
        m.submodules.turns = turns = Arbiter(shape=_Operation, inputs=2)
        connect(m, wiring.flipped(self.forget), clearing.forget)
        write = table.write_port()
        read = table.read_port(transparent_for=(write,))
        next_operation, operation = turns.o.payload, Signal(_Operation, reset_less=True)
        begins, active, available, asking = Signal(), Signal(), Signal(), Signal()
        entry = read.data
        place = Signal(range(self.communicators << PORT_BITS))
        asked = self.query.payload
        m.d.comb += [
            turns.i[0].valid.eq(self.i.valid),
            self.i.ready.eq(turns.i[0].ready),
            *(turns.i[0].payload[name].eq(self.i.payload[name]) for name, _ in Token),
            turns.i[1].valid.eq(self.query.valid & ~asking),
            self.query.ready.eq(turns.i[1].ready & ~asking),
            turns.i[1].payload.communicator.eq(asked.communicator),
            turns.i[1].payload.port.eq(asked.port),
            turns.i[1].payload.asks.eq(1),
            turns.i[1].payload.take.eq(asked.take),
            turns.o.ready.eq(~clearing.blocks),
            begins.eq(turns.o.valid & turns.o.ready),
            clearing.busy.eq(active),
            read.en.eq(begins),
            read.addr.eq(Cat(next_operation.port[:PORT_BITS], next_operation.communicator)),
            place.eq(Cat(operation.port[:PORT_BITS], operation.communicator)),
            available.eq(entry.count != 0),
            write.en.eq(clearing.active | (active & (~operation.asks | (operation.take & available)))),
            write.addr.eq(Mux(clearing.active, clearing.index, place)),
            self.arrived.eq(active & ~operation.asks),
        ]
        with m.If(~clearing.active):
            m.d.comb += [
                write.data.count.eq(Mux(operation.asks, entry.count - 1, entry.count + (entry.count != 255))),
                write.data.offset.eq(Mux(operation.asks, entry.offset, operation.offset)),
            ]
        m.d.sync += active.eq(begins)
        with m.If(begins):
            m.d.sync += operation.eq(next_operation)
        with m.If(active & operation.asks):
            m.d.sync += [
                self.answer.valid.eq(1),
                self.answer.payload.available.eq(available),
                self.answer.payload.offset.eq(entry.offset),
            ]
        with m.Elif(self.answer.ready):
            m.d.sync += self.answer.valid.eq(0)
        with m.If(begins & next_operation.asks):
            m.d.sync += asking.eq(1)
        with m.Elif(self.answer.valid & self.answer.ready):
            m.d.sync += asking.eq(0)
        return m

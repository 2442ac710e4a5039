"""Which messages of a collective have arrived: a bit a sender for each event."""

from typing import Any

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import Out

from mtia.message import MAX_RANKS

from ..core.arbiter import Arbiter
from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from .clearing import Clearing
from .layouts import Event
from .limits import require_communicators
from .ports import Answer, Arrival, Forget, Query

#: bits of an event's number within its communicator
EVENT_BITS = Event["communicator"].offset
#: what an event holds: bits, and the collective to which they belong
_Arrived = data.StructLayout({"sequence": 16, "bitmap": MAX_RANKS})
#: what is done to it: a bit is set, or it is cleared if its collective is long over
_Operation = data.StructLayout({**{name: field.shape for name, field in Arrival}, "sweep": 1})


class EventTable(wiring.Component):
    """For each event the bits that have been set in the latest collective.

    An arrival sets its bit; if the entry holds another collective's bits, they give way. A query is
    complete if the entry is of the collective asked for and has all bits of the mask; one without
    bits is complete at once.

    Numbers of collectives repeat after 2^16. The first query of a collective also sweeps one entry
    of its communicator, that of the low bits of its collective's number: if its bits are of a
    collective at least two earlier, they are cleared. So in 256 collectives with a query each no
    entry stays that could be taken for one of 2^16 collectives later. (First: after a query of
    another. Were each to sweep, arrivals that are asked for one by one would have to share the
    table with their questions.)

    After reset, and when a communicator is forgotten, entries are cleared, one a cycle; all else
    waits.

    Latency: an arrival taken in cycle t is seen by a query taken in t + 1; the answer comes 1 cycle
    after the query. Throughput: an arrival a cycle, a sweep in the place of one; a query every 2
    cycles.

    Parameters
    ----------
    communicators : whose events are kept, 1 to 16. Events are of these: `Check` refuses others.

    Members
    -------
    i : stream of {event, sequence, slot}.
    query : stream of {event, sequence, mask}.
    answer : stream of {complete}, one for each query in order.
    forget : stream of {communicator}.
    arrived, arrived_event : in the cycle before the first in which a query may see it: a bit of
        that event is set.

    Raises TypeError or ValueError for `communicators` that are no such number.
    """

    def __init__(self, *, communicators: int = 16):
        self._communicators = require_communicators("Event table communicators", communicators)
        super().__init__(
            {
                "i": stream_in(Arrival),
                "query": stream_in(Query),
                "answer": stream_out(Answer),
                "forget": stream_in(Forget),
                "arrived": Out(1),
                "arrived_event": Out(16),
            }
        )

    @property
    def communicators(self) -> int:
        """Communicators whose events are kept."""
        return self._communicators

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.clearing = clearing = Clearing(communicators=self.communicators, entries=1 << EVENT_BITS)
        m.submodules.table = table = memory.Memory(shape=_Arrived, depth=self.communicators << EVENT_BITS, init=[])
        m.submodules.turns = turns = Arbiter(shape=_Operation, inputs=2)
        connect(m, wiring.flipped(self.forget), clearing.forget)
        write = table.write_port()
        read = table.read_port(transparent_for=(write,))
        begins, active, age = Signal(), Signal(), Signal(16)
        stored, operation = read.data, Signal(_Operation, reset_less=True)
        m.d.comb += [
            turns.i[0].valid.eq(self.i.valid),
            self.i.ready.eq(turns.i[0].ready),
            *(turns.i[0].payload[name].eq(self.i.payload[name]) for name, _ in Arrival),
            turns.o.ready.eq(~clearing.blocks),
            begins.eq(turns.o.valid & turns.o.ready),
            clearing.busy.eq(active),
            read.en.eq(begins),
            read.addr.eq(turns.o.payload.event),
            age.eq(operation.sequence - stored.sequence),
            write.en.eq(clearing.active | (active & (~operation.sweep | ((age >= 2) & ~age[-1])))),
            write.addr.eq(Mux(clearing.active, clearing.index, operation.event)),
            self.arrived.eq(begins & ~turns.o.payload.sweep),
            self.arrived_event.eq(turns.o.payload.event),
        ]
        m.d.sync += active.eq(begins)
        with m.If(begins):
            m.d.sync += operation.eq(turns.o.payload)
        with m.If(~clearing.active):
            kept = Mux(age == 0, stored.bitmap, 0)
            m.d.comb += [
                write.data.sequence.eq(operation.sequence),
                write.data.bitmap.eq(Mux(operation.sweep, 0, kept | (1 << operation.slot)[:MAX_RANKS])),
            ]
        self._answer(m, table.read_port(transparent_for=(write,)), turns.i[1], blocks=clearing.blocks)
        return m

    def _answer(self, m: Module, read: memory.ReadPort, sweep: Any, *, blocks: Value) -> None:
        """Answer queries; the first of a collective lets an entry be swept before the next one is taken."""
        asked = Signal(Query, reset_less=True)
        taken, waiting, sweeps = Signal(), Signal(), Signal()
        event, stored = Event(asked.event), read.data
        now = Cat(self.query.payload.sequence, Event(self.query.payload.event).communicator)
        swept = Signal(len(now))  # the collective of the last query; at first 0, for which there is nothing to sweep
        m.d.comb += [
            self.query.ready.eq(~waiting & ~sweeps & ~blocks),
            taken.eq(self.query.valid & self.query.ready),
            read.en.eq(taken),
            read.addr.eq(self.query.payload.event),
            self.answer.valid.eq(waiting),
            self.answer.payload.complete.eq(
                ((stored.sequence == asked.sequence) | (asked.mask == 0)) & ((stored.bitmap & asked.mask) == asked.mask)
            ),
            sweep.valid.eq(sweeps),
            sweep.payload.event.eq(Cat(asked.sequence[:EVENT_BITS], event.communicator)),
            sweep.payload.sequence.eq(asked.sequence),
            sweep.payload.sweep.eq(1),
        ]
        with m.If(taken):
            m.d.sync += [waiting.eq(1), sweeps.eq(now != swept), swept.eq(now), asked.eq(self.query.payload)]
        with m.Else():
            with m.If(self.answer.ready):
                m.d.sync += waiting.eq(0)
            with m.If(sweep.ready):
                m.d.sync += sweeps.eq(0)

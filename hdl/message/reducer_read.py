"""What the reducer reads: jobs as addresses of lines, slot by slot."""

from amaranth import *
from amaranth.lib import data, enum, wiring

from ..core.checks import require_int, stream_in, stream_out
from ..hbm.reduce_format import ReduceFormat, ReduceKind
from .jobs import RANK_BITS, MemoryJob, MemoryOp
from .ports import ADDRESS_BITS


class ReadUse(enum.Enum, shape=2):
    """What a line that is read is for."""

    SLOT = 0  #: a slot of a sum
    COPY = 1  #: to be written as it is
    LOAD = 2  #: the sequencer wants it


#: A line to read, and what for: `last` slot of its sum.
LineRead = data.StructLayout(
    {
        "address": ADDRESS_BITS,
        "use": ReadUse,
        "last": 1,
        "kind": ReduceKind,
        "format": ReduceFormat,
    }
)
#: A line to write: where, how many of its bytes, of which job, `last` of it. A line without bytes only ends its job.
LineWrite = data.StructLayout(
    {
        "thread": 5,
        "op": MemoryOp,
        "target": ADDRESS_BITS,
        "bytes": 9,
        "last": 1,
        "value": 32,
    }
)


class LineReader(wiring.Component):
    """Cuts jobs into lines of ``64 * width`` bytes.

    Of a sum it asks for the slots of a line in the order of their ranks, then for those of the next
    line; of a copy for one line after the other. Each line is told on `writes` with its last read,
    so both come in the same order. A sum of another number of slots than the one before begins when
    all lines before are written, because the results of sums keep their order only among equally
    many slots.

    Latency 1 cycle; throughput a line of one slot a cycle, without a cycle between jobs unless a
    sum waits for the lines before.

    Parameters
    ----------
    width : 1 to 4.

    Members
    -------
    i : stream of `MemoryJob`.
    drained : no line is under way.
    reads : stream of `LineRead`.
    writes : stream of `LineWrite`. A line and its last read are taken in one cycle.

    Raises TypeError or ValueError for a `width` that is no such number.
    """

    def __init__(self, *, width: int):
        self._width = require_int("Reducer width", width, low=1, high=4)
        super().__init__(
            {
                "i": stream_in(MemoryJob),
                "drained": wiring.In(1),
                "reads": stream_out(LineRead),
                "writes": stream_out(LineWrite),
            }
        )

    @property
    def width(self) -> int:
        """Units of 64 bytes in a line."""
        return self._width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = 64 * self.width
        job, busy, slot, slots = Signal(MemoryJob, reset_less=True), Signal(), Signal(RANK_BITS), Signal(RANK_BITS)
        address, is_sum, is_read, is_last_slot, is_last = Signal(ADDRESS_BITS), *(Signal() for _ in range(4))
        moves, waits, taken = Signal(), Signal(), self.i.payload
        m.d.comb += [
            is_sum.eq(job.op == MemoryOp.SUM),
            is_read.eq((job.op != MemoryOp.SET) & (job.length != 0)),
            is_last_slot.eq(~is_sum | (slot + 1 == job.slots) | ~is_read),
            is_last.eq((job.length <= line) | ~is_read),
            self.reads.valid.eq(busy & is_read & (self.writes.ready | ~is_last_slot)),
            self.writes.valid.eq(busy & is_last_slot & (self.reads.ready | ~is_read)),
            moves.eq(busy & Mux(is_read, self.reads.valid & self.reads.ready, self.writes.ready)),
            self.i.ready.eq((~busy | (moves & is_last & is_last_slot)) & ~waits),
            waits.eq((taken.op == MemoryOp.SUM) & (taken.slots != slots) & (busy | ~self.drained)),
        ]
        with m.If(moves & is_last_slot):
            m.d.sync += [
                slot.eq(0),
                job.base.eq(job.base + line),
                job.own_address.eq(job.own_address + line),
                job.target.eq(job.target + line),
                job.length.eq(job.length - line),
                address.eq(job.base + line),
            ]
            with m.If(is_last):
                m.d.sync += busy.eq(0)
        with m.Elif(moves):
            m.d.sync += [slot.eq(slot + 1), address.eq(address + job.stride)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [Value.cast(job).eq(Value.cast(taken)), busy.eq(1), slot.eq(0), address.eq(taken.base)]
            with m.If(taken.op == MemoryOp.SUM):
                m.d.sync += slots.eq(taken.slots)
        read, write = self.reads.payload, self.writes.payload
        m.d.comb += [
            read.address.eq(Mux(is_sum & (slot != job.own), address, job.own_address)),
            *(read.use.eq(Mux(is_sum, ReadUse.SLOT, ReadUse.COPY)), read.last.eq(is_last_slot)),
            *(read.kind.eq(job.kind), read.format.eq(job.format)),
            *(write.thread.eq(job.thread), write.op.eq(job.op), write.target.eq(job.target)),
            *(write.bytes.eq(Mux(is_last, job.length, line)), write.last.eq(is_last), write.value.eq(job.value)),
        ]
        return m

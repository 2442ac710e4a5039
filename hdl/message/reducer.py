"""Near-memory reduction of the message engine: sums of slots, copies, words set; and what the sequencer reads."""

from amaranth import *
from amaranth.lib import data, wiring

from ..core.arbiter import Arbiter
from ..core.checks import require_int, stream_in, stream_out
from ..core.clock_gate import ClockGated
from ..core.connect import connect
from ..core.fifo import Queue
from .jobs import Done, Loaded, LoadRequest, MemoryJob
from .line_sums import LineSums
from .ports import FLIT_BITS, ReadRequest
from .reducer_read import LineRead, LineReader, LineWrite, ReadUse
from .reducer_write import LineWriter, wide_write


class Reducer(wiring.Component):
    """Does the jobs of the memory: SUM (SUM, MAX or MIN of 1 to 72 slots along the tree, as
    `golden.near_memory.tree` bit for bit), COPY, SET; and reads for the sequencer.

    Jobs are done in their order. Reads are issued one a cycle while the memory takes them and
    `reads` are not exceeded, and answers may come at any later time, in order. A sum takes a line
    of one slot a cycle, but at least as many cycles a line as its tree has pairs and numbers that
    pass up (`OrderedSum`: 74 for 72 slots). A sum whose number of slots differs from the one before
    waits until that is written.

    Parameters
    ----------
    width : 1 to 4: lines of ``64 * width`` bytes.
    reads : under way at once, at least 4.

    Members
    -------
    work : stream of `MemoryJob`.
    done : stream of `Done`, when the last write of a job is taken.
    load, loaded : streams of `LoadRequest` and `Loaded`.
    sum_read : stream of `ReadRequest`: a line from a multiple of 32.
    sum_data : stream of {data}, in that order.
    sum_write : stream of writes, see `wide_write`.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(self, *, width: int = 1, reads: int = 64):
        self._width = require_int("Reducer width", width, low=1, high=4)
        self._reads = require_int("Reducer reads", reads, low=4)
        self._line = data.StructLayout({"data": 512 * width})
        super().__init__(
            {
                "work": stream_in(MemoryJob),
                "done": stream_out(Done),
                "load": stream_in(LoadRequest),
                "loaded": stream_out(Loaded),
                "sum_read": stream_out(ReadRequest),
                "sum_data": stream_in(self._line),
                "sum_write": stream_out(wide_write(width)),
            }
        )

    @property
    def width(self) -> int:
        """Units of 64 bytes in a line."""
        return self._width

    @property
    def reads(self) -> int:
        """Reads under way at once."""
        return self._reads

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reader = reader = LineReader(width=self.width)
        m.submodules.writer = writer = LineWriter(width=self.width)
        m.submodules.asks = asks = Arbiter(shape=LineRead, inputs=2)
        m.submodules.flying = flying = Queue(shape=LineRead, depth=self.reads)
        m.submodules.lines = lines = Queue(shape=LineWrite, depth=self.reads)
        m.submodules.copies = copies = Queue(shape=self._line, depth=2)
        sums = LineSums(width=self.width)
        m.submodules.sums = gate = ClockGated(sums)
        connect(m, wiring.flipped(self.work), reader.i)
        connect(m, reader.reads, asks.i[0])
        connect(m, reader.writes, lines.i)
        connect(m, lines.o, writer.lines)
        connect(m, copies.o, writer.copies)
        connect(m, writer.write, wiring.flipped(self.sum_write))
        connect(m, writer.done, wiring.flipped(self.done))
        self._drain(m, reader, lines, writer)
        self._ask(m, asks, flying)
        self._take(m, flying, copies, sums)
        connect(m, sums.o, writer.results)
        m.d.comb += gate.awake.eq(sums.i.valid | sums.busy)
        return m

    def _drain(self, m: Module, reader: LineReader, lines: Queue, writer: LineWriter) -> None:
        """Lines that are told and not written."""
        under_way = Signal(range(self.reads + 3))
        m.d.sync += under_way.eq(under_way + (lines.i.valid & lines.i.ready) - writer.left)
        m.d.comb += reader.drained.eq(under_way == 0)

    def _ask(self, m: Module, arbiter: Arbiter, flying: Queue) -> None:
        """Reads of jobs and of the sequencer to the memory; what each is for is kept."""
        load, asks = arbiter.i[1], arbiter.o
        wanted = self.load.payload.address
        m.d.comb += [
            *(load.valid.eq(self.load.valid), self.load.ready.eq(load.ready)),
            load.payload.use.eq(ReadUse.LOAD),
            load.payload.address.eq(Cat(Const(0, 5), wanted[5:])),
            self.sum_read.valid.eq(asks.valid & flying.i.ready),
            self.sum_read.payload.address.eq(asks.payload.address),
            *(flying.i.valid.eq(asks.valid & self.sum_read.ready), flying.i.payload.eq(asks.payload)),
            asks.ready.eq(flying.i.ready & self.sum_read.ready),
        ]

    def _take(self, m: Module, flying: Queue, copies: Queue, sums: LineSums) -> None:
        """What is read, to where it belongs."""
        use, there, line, takes = flying.o.payload, Signal(), self.sum_data.payload.data, Signal()
        is_slot, is_copy, is_load = Signal(), Signal(), Signal()
        m.d.comb += [
            there.eq(flying.o.valid & self.sum_data.valid),
            *(is_slot.eq(use.use == ReadUse.SLOT), is_copy.eq(use.use == ReadUse.COPY)),
            is_load.eq(use.use == ReadUse.LOAD),
            takes.eq((is_slot & sums.i.ready) | (is_copy & copies.i.ready) | (is_load & self.loaded.ready)),
            *(self.sum_data.ready.eq(flying.o.valid & takes), flying.o.ready.eq(self.sum_data.valid & takes)),
            *(copies.i.valid.eq(there & is_copy), copies.i.payload.data.eq(line)),
            self.loaded.valid.eq(there & is_load),
            self.loaded.payload.data.eq(line[:FLIT_BITS]),
            sums.i.valid.eq(there & is_slot),
            *(sums.i.payload[name].eq(use[name]) for name in ("kind", "format", "last")),
            sums.i.payload.data.eq(line),
        ]

"""What the reducer writes: results of sums, copies and single words."""

from amaranth import *
from amaranth.lib import data, wiring

from ..core.checks import require_int, stream_in, stream_out
from ..core.fifo import Queue
from .jobs import Done, MemoryOp
from .ports import ADDRESS_BITS
from .reducer_read import LineWrite


def wide_write(width: int) -> data.StructLayout:
    """A write of lines.

    address : of the first byte, a multiple of 32.
    data : ``64 * width`` bytes, that of the address lowest.
    enable : a bit a byte: those that are written.
    """
    return data.StructLayout({"address": ADDRESS_BITS, "data": 512 * width, "enable": 64 * width})


class LineWriter(wiring.Component):
    """Writes lines in their order, each when its data are there, and tells when a job's last is taken.

    Latency 1 cycle; throughput a line a cycle.

    Parameters
    ----------
    width : 1 to 4: units of 64 bytes in a line.

    Members
    -------
    lines : stream of `LineWrite`.
    results, copies : streams of the data of sums and of copies, each in the order of its lines.
    write : stream of writes, see `wide_write`.
    done : stream of `Done`.
    left : a line has left: it is written, or had no bytes.

    Raises TypeError or ValueError for a `width` that is no such number.
    """

    def __init__(self, *, width: int):
        self._width = require_int("Reducer width", width, low=1, high=4)
        line = data.StructLayout({"data": 512 * width})
        super().__init__(
            {
                "lines": stream_in(LineWrite),
                "results": stream_in(line),
                "copies": stream_in(line),
                "write": stream_out(wide_write(width)),
                "done": stream_out(Done),
                "left": wiring.Out(1),
            }
        )

    @property
    def width(self) -> int:
        """Units of 64 bytes in a line."""
        return self._width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ended = ended = Queue(shape=Done, depth=4)
        line, valid, writes, last = self.lines.payload, Signal(), Signal(), Signal()
        thread, held = Signal(5), Signal(wide_write(self.width), reset_less=True)
        leaves, room, there, is_sum, is_copy, is_set = (Signal() for _ in range(6))
        room_to_end = Signal()
        m.d.comb += [
            room_to_end.eq(ended.i.ready | ~last),
            *(self.write.valid.eq(valid & writes & room_to_end), Value.cast(self.write.payload).eq(Value.cast(held))),
            leaves.eq(valid & Mux(writes, self.write.ready, 1) & room_to_end),
            *(ended.i.valid.eq(leaves & last), ended.i.payload.thread.eq(thread)),
            *(self.left.eq(leaves), room.eq(~valid | leaves)),
            is_set.eq(line.op == MemoryOp.SET),
            is_sum.eq((line.op == MemoryOp.SUM) & (line.bytes != 0)),
            is_copy.eq((line.op == MemoryOp.COPY) & (line.bytes != 0)),
            there.eq((~is_sum | self.results.valid) & (~is_copy | self.copies.valid)),
            self.lines.ready.eq(room & there),
            self.results.ready.eq(room & self.lines.valid & is_sum),
            self.copies.ready.eq(room & self.lines.valid & is_copy),
            *(self.done.valid.eq(ended.o.valid), Value.cast(self.done.payload).eq(Value.cast(ended.o.payload))),
            ended.o.ready.eq(self.done.ready),
        ]
        with m.If(room):
            m.d.sync += valid.eq(self.lines.valid & there)
        with m.If(room & self.lines.valid & there):
            m.d.sync += [
                *(last.eq(line.last), thread.eq(line.thread), writes.eq(is_set | (line.bytes != 0))),
                held.address.eq(Cat(Const(0, 5), line.target[5:])),
                held.enable.eq(self._enable(m, line, is_set)),
            ]
            with m.If(is_sum):
                m.d.sync += held.data.eq(self.results.payload.data)
            with m.Elif(is_copy):
                m.d.sync += held.data.eq(self.copies.payload.data)
            with m.Else():
                m.d.sync += held.data.eq(line.value.replicate(16 * self.width))
        return m

    def _enable(self, m: Module, line: data.View, is_set: Signal) -> Signal:
        """A word of the first 32 bytes, or the bytes that are not past the end."""
        enable = Signal(64 * self.width)
        for byte in range(64 * self.width):
            is_word = (line.target[2:5] == byte // 4) if byte < 32 else Const(0)
            m.d.comb += enable[byte].eq(Mux(is_set, is_word, line.bytes > byte))
        return enable

"""A queue between two streams."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import Out

from .checks import require_bool, require_int, require_shape, stream_in, stream_out


class Queue(wiring.Component):
    """First-in first-out queue of ``depth`` items.

    Latency 1 cycle from ``i`` to ``o`` through an empty queue, 2 if ``buffered``. Throughput one
    item a cycle. Neither ``valid`` nor ``ready`` passes through combinationally: both come from
    registers. So a full queue takes an item in the cycle after one has left at the earliest. Empty
    after reset.

    Parameters
    ----------
    shape : shape of an item, of at least one bit.
    depth : items that fit, at least 2 (3 if ``buffered``: one item sits in the output register).
    buffered : reads its memory through a register, as block RAM needs; otherwise the memory is read
        asynchronously (registers, distributed RAM).

    Members
    -------
    i, o : streams of ``shape``.
    level : items in the queue, 0 to ``depth``, that in the output register included; it counts an
        item from the cycle after it was taken.
    credit : 1 in each cycle in which an item leaves. A producer that counts credits starts with
        ``depth`` of them.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, shape: ShapeLike, depth: int, buffered: bool = False):
        self._shape = require_shape("Queue shape", shape)
        self._buffered = require_bool("Queue buffered", buffered)
        self._depth = require_int("Queue depth", depth, low=3 if buffered else 2)
        super().__init__(
            {"i": stream_in(shape), "o": stream_out(shape), "level": Out(range(depth + 1)), "credit": Out(1)}
        )

    @property
    def shape(self) -> ShapeLike:
        """Shape of an item."""
        return self._shape

    @property
    def depth(self) -> int:
        """Items that fit."""
        return self._depth

    @property
    def buffered(self) -> bool:
        """Whether the memory is read through a register."""
        return self._buffered

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kind = fifo.SyncFIFOBuffered if self.buffered else fifo.SyncFIFO
        m.submodules.fifo = queue = kind(width=Shape.cast(self.shape).width, depth=self.depth)
        m.d.comb += [
            queue.w_data.eq(self.i.payload),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            Value.cast(self.o.payload).eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
            self.level.eq(queue.level),
            self.credit.eq(self.o.valid & self.o.ready),
        ]
        return m

"""What happens to flits of whole packets while the link is not up."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_shape, stream_in, stream_out


class Gate(wiring.Component):
    """Lets flits pass, holds them, or takes and drops them; never lets the rest of a packet pass alone.

    Latency 0, a flit a cycle; `o.valid` follows `i.valid`, `passes` and `drops`, `i.ready` follows
    `o.ready` combinationally. When the link fails `o.valid` may fall without a transfer.

    Parameters
    ----------
    shape : a flit, with the field `last`.

    Members
    -------
    i, o : streams of `shape`.
    passes : the link is up; otherwise flits wait.
    drops : the link is down: flits are taken and dropped, a flit a cycle.
    cuts : a packet of which a part was taken by now is lost: its rest is dropped, whatever the
        state.
    dropped : a flit is taken and dropped in this cycle.

    Raises TypeError or ValueError for a `shape` that is none.
    """

    def __init__(self, *, shape: data.StructLayout):
        self._shape = require_shape("Gate shape", shape)
        super().__init__(
            {
                "i": stream_in(shape),
                "o": stream_out(shape),
                "passes": In(1),
                "drops": In(1),
                "cuts": In(1),
                "dropped": Out(1),
            }
        )

    @property
    def shape(self) -> data.StructLayout:
        """A flit."""
        return self._shape

    def elaborate(self, platform: object) -> Module:
        m = Module()
        is_open, is_open_after = Signal(), Signal()  # a packet has begun and not ended
        skips = Signal()
        drops, taken = Signal(), Signal()
        m.d.comb += [
            drops.eq(self.drops | skips),
            Value.cast(self.o.payload).eq(self.i.payload),
            self.o.valid.eq(self.i.valid & self.passes & ~drops),
            self.i.ready.eq(drops | (self.passes & self.o.ready)),
            taken.eq(self.i.valid & self.i.ready),
            self.dropped.eq(self.i.valid & drops),
            is_open_after.eq(Mux(taken, ~self.i.payload.last, is_open)),
        ]
        m.d.sync += [is_open.eq(is_open_after), skips.eq((self.cuts | skips) & is_open_after)]
        return m

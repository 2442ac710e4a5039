"""Several streams into one."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from .checks import require_int, require_shape, stream_in, stream_out


class Arbiter(wiring.Component):
    """Round-robin arbiter: passes the items of several streams into one, each stream's in order.

    The turn goes to the next stream with an item after the one served last, so a waiting stream is
    served after at most ``inputs - 1`` others (packets, with ``last``). A chosen item stays chosen
    until it is taken. Latency 0, throughput one item a cycle. ``o.valid`` and ``o.payload`` follow
    the inputs and each input's ``ready`` follows ``o.ready`` combinationally; put a
    :class:`~hdl.core.stream.Skid` behind it to cut them. After reset input 0 comes first.

    With ``last`` a stream that stops in the middle of a packet holds up all others until it goes
    on.

    Parameters
    ----------
    shape : shape of an item, of at least one bit.
    inputs : number of streams, at least 2.
    last : name of a one-bit field of ``shape`` that marks the last item of a packet: a stream keeps
        its turn until such an item of its own is taken. None: every item is a packet.

    Members
    -------
    i : array of ``inputs`` streams of ``shape``.
    o : stream of ``shape``.
    source : index of the stream that ``o`` comes from; means nothing while ``o.valid`` is 0.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, shape: ShapeLike, inputs: int, last: str | None = None):
        self._shape = require_shape("Arbiter shape", shape)
        self._inputs = require_int("Arbiter inputs", inputs, low=2)
        self._last = last
        if last is not None and not _is_flag(shape, last):
            raise ValueError(f"Arbiter last must be the name of a one-bit field of the shape, not {last!r}")
        super().__init__({"i": stream_in(shape).array(inputs), "o": stream_out(shape), "source": Out(range(inputs))})

    @property
    def shape(self) -> ShapeLike:
        """Shape of an item."""
        return self._shape

    @property
    def inputs(self) -> int:
        """Number of streams in."""
        return self._inputs

    @property
    def last(self) -> str | None:
        """Name of the field that ends a packet, if packets are kept together."""
        return self._last

    def elaborate(self, platform: object) -> Module:
        m = Module()
        turn = Signal(range(self.inputs), init=self.inputs - 1)
        is_held = Signal()
        requests = Signal(self.inputs)
        following = Signal(self.inputs)
        m.d.comb += [
            requests.eq(Cat(stream.valid for stream in self.i)),
            following[1:].eq(requests[1:] & Cat(turn < index for index in range(1, self.inputs))),
        ]
        with m.If(is_held):
            m.d.comb += self.source.eq(turn)
        with m.Else():
            for candidates in (requests, following):  # the later assignment and the lower index win
                for index in reversed(range(self.inputs)):
                    with m.If(candidates[index]):
                        m.d.comb += self.source.eq(index)
        for index, stream in enumerate(self.i):
            m.d.comb += stream.ready.eq(self.o.ready & (self.source == index))
        with m.Switch(self.source):
            for index, stream in enumerate(self.i):
                with m.Case(index) if index + 1 < self.inputs else m.Default():
                    m.d.comb += [Value.cast(self.o.payload).eq(stream.payload), self.o.valid.eq(stream.valid)]
        with m.If(self.o.valid):
            ends = self.o.payload[self.last] if self.last is not None else 1
            m.d.sync += [turn.eq(self.source), is_held.eq(~(self.o.ready & ends))]
        return m


def _is_flag(shape: ShapeLike, name: str) -> bool:
    """Whether ``name`` is a one-bit field of a struct shape."""
    if isinstance(shape, (int, range, Shape)):
        return False
    layout = data.Layout.cast(shape)
    return isinstance(layout, data.StructLayout) and name in layout.members and layout[name].width == 1

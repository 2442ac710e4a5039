"""Where flits from the wire wait for their stream."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from mtia.link import LinkParameters

from ..core.checks import stream_out
from .frame import flit


class ReceiveBuffer(wiring.Component):
    """Flits of one virtual channel, in a memory that is read through a register.

    A flit is written before it is known to be undamaged, and counts a cycle later with `commit`;
    without it the next one takes its place. A full buffer writes nothing: credit sees to it that
    what is committed found room. Latency: 2 cycles from `write` to `o`, throughput one flit a
    cycle. No combinational paths from or to the stream. Empty after reset.

    `closes` ends what will not go on: a packet of which the last flit is missing gets a flit of
    zeros with `last` and without `head`, as soon as there is room.

    Parameters
    ----------
    parameters : of the link; `buffer` flits fit.

    Members
    -------
    write, flit : write it, to be committed or not in the next cycle.
    commit : the flit written in the last cycle counts.
    last : it is the last of its packet.
    closes : nothing is written any more; packets are closed.
    o : stream of flits, in the order in which they were written.
    freed : a flit leaves in this cycle: its room is told to the other end.
    empty : nothing waits, and no packet is open.
    """

    def __init__(self, *, parameters: LinkParameters):
        self._parameters = parameters
        super().__init__(
            {
                "write": In(1),
                "flit": In(flit(parameters)),
                "commit": In(1),
                "last": In(1),
                "closes": In(1),
                "o": stream_out(flit(parameters)),
                "freed": Out(1),
                "empty": Out(1),
            }
        )

    @property
    def parameters(self) -> LinkParameters:
        """Parameters of the link."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.parameters.buffer
        m.submodules.flits = flits = memory.Memory(shape=flit(self.parameters), depth=depth, init=[])
        put, get = flits.write_port(), flits.read_port()
        # Positions have a bit more than addresses: full and empty are not the same.
        written, written_after = Signal(range(2 * depth)), Signal(range(2 * depth))
        taken, taken_after = Signal.like(written), Signal.like(written)
        level, is_open, ends, closed = Signal.like(written), Signal(), Signal(), Signal()
        m.d.comb += [
            ends.eq(self.closes & is_open & ~closed & (level != depth)),
            written_after.eq(written + (self.commit | closed)),
            level.eq(written_after - taken),
            put.addr.eq(written_after),
            put.en.eq(Mux(self.closes, ends, self.write) & (level != depth)),
            put.data.eq(Mux(self.closes, self._closing(), self.flit)),
            self.freed.eq(self.o.valid & self.o.ready),
            taken_after.eq(taken + self.freed),
            get.addr.eq(taken_after),
            get.en.eq(written_after != taken_after),
            self.o.payload.eq(get.data),
            self.empty.eq((written_after == taken) & ~is_open),
        ]
        m.d.sync += [
            written.eq(written_after),
            taken.eq(taken_after),
            closed.eq(ends),
            self.o.valid.eq(written_after != taken_after),
        ]
        with m.If(self.commit | closed):
            m.d.sync += is_open.eq(~(self.last | closed))
        return m

    def _closing(self) -> Value:
        return flit(self.parameters).const({"last": 1})

"""The next flit among the virtual channels."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.link import LinkParameters

from ..core.checks import stream_in
from .frame import flit
from .replay import entry


class Take(wiring.Component):
    """Takes a flit of a channel that has credit, of both in turn where both have.

    Latency 0, one flit a cycle; `ready` of each stream follows the `valid` of both and `room`. A
    channel without credit does not hold up the other.

    Parameters
    ----------
    parameters : of the link, which has two channels.

    Members
    -------
    i : a stream of flits a channel.
    available : channels with credit.
    room : a flit may be taken.
    put, entry : it is, with its channel.
    spent : that channel, one bit high, or 0.
    """

    def __init__(self, *, parameters: LinkParameters):
        self._parameters = parameters
        super().__init__(
            {
                "i": stream_in(flit(parameters)).array(parameters.channels),
                "available": In(parameters.channels),
                "room": In(1),
                "put": Out(1),
                "entry": Out(entry(parameters)),
                "spent": Out(parameters.channels),
            }
        )

    @property
    def parameters(self) -> LinkParameters:
        """Parameters of the link."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        asking, turn, vc = Signal(self.parameters.channels), Signal(), Signal()
        m.d.comb += [
            asking.eq(Cat(stream.valid for stream in self.i) & self.available),
            vc.eq(Mux(asking.all(), turn, asking[1])),
            self.put.eq(self.room & asking.any()),
            self.entry.vc.eq(vc),
            self.entry.flit.eq(Mux(vc, self.i[1].payload, self.i[0].payload)),
            self.spent.eq(Mux(self.put, Mux(vc, 0b10, 0b01), 0)),
            self.i[0].ready.eq(self.spent[0]),
            self.i[1].ready.eq(self.spent[1]),
        ]
        with m.If(self.put):
            m.d.sync += turn.eq(~vc)
        return m

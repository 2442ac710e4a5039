"""Two ends of a link as one component, with the wires between them open."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.core.checks import stream_in, stream_out
from hdl.core.connect import connect
from hdl.core.shared import Shared
from hdl.link.frame import Counters, DownCause, LinkState, flit, line
from hdl.link.link import Link
from mtia.link import LinkParameters

#: the ends
ENDS = ("a", "b")


class LinkPair(wiring.Component):
    """Links ``a`` and ``b``; each port of `hdl.link.link.Link` is there for both, named ``a_tx``, ``b_tx`` and so on.

    Parameters
    ----------
    parameters : of the link ``a``. other : of ``b``; None for the same.
    """

    def __init__(self, *, parameters: LinkParameters, other: LinkParameters | None = None):
        self._parameters = parameters
        self._other = parameters if other is None else other
        members: dict[str, wiring.Member] = {}
        for end, own in zip(ENDS, (self._parameters, self._other), strict=True):
            members |= {
                f"{end}_tx": stream_in(flit(own)).array(own.channels),
                f"{end}_rx": stream_out(flit(own)).array(own.channels),
                f"{end}_line_out": Out(line(own)),
                f"{end}_line_in": In(line(own)),
                f"{end}_restart": In(1),
                f"{end}_state": Out(LinkState),
                f"{end}_down": Out(1),
                f"{end}_cause": Out(DownCause),
                f"{end}_counters": Out(Counters),
            }
        super().__init__(members)

    @property
    def parameters(self) -> LinkParameters:
        """Parameters of the link ``a``."""
        return self._parameters

    @property
    def other(self) -> LinkParameters:
        """Parameters of the link ``b``."""
        return self._other

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for end, own in zip(ENDS, (self.parameters, self.other), strict=True):
            m.submodules[end] = link = Shared(Link(parameters=own))
            for vc in range(own.channels):
                connect(m, wiring.flipped(getattr(self, f"{end}_tx")[vc]), link.tx[vc])
                connect(m, link.rx[vc], wiring.flipped(getattr(self, f"{end}_rx")[vc]))
            connect(m, link.line_out, wiring.flipped(getattr(self, f"{end}_line_out")))
            connect(m, wiring.flipped(getattr(self, f"{end}_line_in")), link.line_in)
            m.d.comb += link.restart.eq(getattr(self, f"{end}_restart"))
            for name in ("state", "down", "cause", "counters"):
                m.d.comb += Value.cast(getattr(self, f"{end}_{name}")).eq(getattr(link, name))
        return m

"""A node of a scale-up domain: a message engine behind its link."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.link import LinkParameters
from mtia.message import Channel
from mtia.message_profiles import MessageParameters

from ..core.connect import connect
from ..link.frame import Counters, LinkState, line
from ..link.link import Link
from .engine import MessageEngine

_MEMORY = ("read", "read_data", "write", "sum_read", "sum_data", "sum_write")


class Node(wiring.Component):
    """A message engine and its NIC's link.

    Parameters
    ----------
    parameters : of the engine. link : of the link; the other end has the same.

    Members
    -------
    doorbell, completion, configure, read, read_data, write, sum_read, sum_data, sum_write, refused : of
        `MessageEngine`. line_out, line_in, restart, state, counters : of `Link`.
    """

    def __init__(self, *, parameters: MessageParameters, link: LinkParameters):
        self._engine = MessageEngine(parameters=parameters)
        self._link = Link(parameters=link)
        kept = ("doorbell", "completion", "configure", *_MEMORY, "refused")
        super().__init__(
            {
                **{name: self._engine.signature.members[name] for name in kept},
                "line_out": Out(line(link)),
                "line_in": In(line(link)),
                "restart": In(1),
                "state": Out(LinkState),
                "counters": Out(Counters),
            }
        )

    @property
    def parameters(self) -> MessageParameters:
        """Of the engine."""
        return self._engine.parameters

    @property
    def link(self) -> LinkParameters:
        """Of the link."""
        return self._link.parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine, m.submodules.link = engine, link = self._engine, self._link
        for own, bell in zip(self.doorbell, engine.doorbell, strict=True):
            connect(m, wiring.flipped(own), bell)
        connect(m, engine.completion, wiring.flipped(self.completion))
        connect(m, wiring.flipped(self.configure), engine.configure)
        for name in _MEMORY:
            own, inner = getattr(self, name), getattr(engine, name)
            pair = (wiring.flipped(own), inner)
            connect(m, *pair)
        for channel in Channel:
            connect(m, engine.tx[channel], link.tx[channel])
            connect(m, link.rx[channel], engine.rx[channel])
        connect(m, link.line_out, wiring.flipped(self.line_out))
        connect(m, wiring.flipped(self.line_in), link.line_in)
        m.d.comb += [
            *(own.eq(count) for own, count in zip(self.refused, engine.refused, strict=True)),
            *(link.restart.eq(self.restart), engine.link_down.eq(link.down)),
            *(self.state.eq(link.state), self.counters.eq(link.counters)),
        ]
        return m

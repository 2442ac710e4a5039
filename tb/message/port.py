"""What a domain makes many objects of: a node, and the end of its link that is at the switch."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.core.checks import stream_in, stream_out
from hdl.core.connect import connect
from hdl.core.stream import Skid
from hdl.link.flit import Flit
from hdl.link.frame import Counters, LinkState, line
from hdl.link.link import Link
from hdl.message.node import Node
from mtia.link import LinkParameters
from mtia.message import Channel
from mtia.message_profiles import MessageParameters

#: streams of the node that the domain fills, and that it takes from in every cycle
_FILLED = ("configure", "read_data", "sum_data")
_TAKEN = ("completion", "read", "write", "sum_read", "sum_write")


class NodeAndPort(wiring.Component):
    """A node, and the link of its port of the switch, with their wires outside.

    Every input goes into a register first (a wire is a cycle longer, an answer of the memory a cycle later): what hangs
    on an input directly is evaluated twice a cycle.

    Parameters
    ----------
    parameters, link : of the `Node`; the port's link has the same parameters.

    Members
    -------
    doorbell : stream of {partition, descriptor} to the ring of that partition.
    completion, configure and the streams of the memory : of the node; those that it gives are always taken.
    up, down : flits to the switch and from it, a stream a channel.
    near_out, near_in, far_out, far_in : the wire's ends, at the node and at the switch: {valid, frame}.
    near_counters, far_counters : of both links. link_is_up : whether both are up.
    refused : packets that the node refused.
    """

    def __init__(self, *, parameters: MessageParameters, link: LinkParameters):
        self._node = Node(parameters=parameters, link=link)
        self._far = Link(parameters=link)
        self._bell = data.StructLayout({"partition": 8, "descriptor": 512})
        members = self._node.signature.members
        self._shapes = {name: members[name].signature.members["payload"].shape for name in (*_FILLED, *_TAKEN)}
        super().__init__(
            {
                "doorbell": stream_in(self._bell),
                **{name: stream_in(self._shapes[name]) for name in _FILLED},
                **{name: Out(stream.Signature(self._shapes[name], always_ready=True)) for name in _TAKEN},
                "up": stream_out(Flit).array(len(Channel)),
                "down": stream_in(Flit).array(len(Channel)),
                **{name: Out(line(link)) for name in ("near_out", "far_out")},
                **{name: In(line(link)) for name in ("near_in", "far_in")},
                **{name: Out(Counters) for name in ("near_counters", "far_counters")},
                "link_is_up": Out(1),
                "refused": Out(32),
            }
        )

    @property
    def parameters(self) -> MessageParameters:
        """Of the node's engine."""
        return self._node.parameters

    @property
    def link(self) -> LinkParameters:
        """Of both links."""
        return self._node.link

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.node, m.submodules.port = node, far = self._node, self._far
        self._ring(m, node)
        for name in _FILLED:
            connect(m, self._kept(m, name, getattr(self, name)), getattr(node, name))
        for name in _TAKEN:
            own, inner = getattr(self, name), getattr(node, name)
            m.d.comb += [
                *(Value.cast(own.payload).eq(inner.payload), own.valid.eq(inner.valid)),
                inner.ready.eq(1),
            ]
        for channel in Channel:
            m.submodules[f"up_{channel:d}"] = up = Skid(shape=Flit)
            connect(m, far.rx[channel], up.i)
            connect(m, up.o, wiring.flipped(self.up[channel]))
            connect(m, self._kept(m, f"down_{channel:d}", self.down[channel]), far.tx[channel])
        for own, inner in ((self.near_in, node.line_in), (self.far_in, far.line_in)):
            m.d.sync += inner.valid.eq(own.valid)
            with m.If(own.valid):
                m.d.sync += Value.cast(inner.frame).eq(own.frame)
        for inner, own in ((node.line_out, self.near_out), (far.line_out, self.far_out)):
            connect(m, inner, wiring.flipped(own))
        m.d.comb += [
            *(self.near_counters.eq(node.counters), self.far_counters.eq(far.counters)),
            self.link_is_up.eq((node.state == LinkState.UP) & (far.state == LinkState.UP)),
            self.refused.eq(sum(node.refused)),
        ]
        return m

    @staticmethod
    def _kept(m: Module, name: str, own: Any) -> Any:
        """What a stream from outside becomes behind a register slice."""
        m.submodules[name] = kept = Skid(shape=own.payload.shape())
        connect(m, wiring.flipped(own), kept.i)
        return kept.o

    def _ring(self, m: Module, node: Node) -> None:
        """A descriptor goes to the ring of its partition; one of no ring is lost."""
        bell = self._kept(m, "bell", self.doorbell)
        m.d.comb += bell.ready.eq(1)
        for index, ring in enumerate(node.doorbell):
            chosen = bell.payload.partition == index
            m.d.comb += [
                Value.cast(ring.payload).eq(bell.payload.descriptor),
                ring.valid.eq(bell.valid & chosen),
            ]
            with m.If(chosen):
                m.d.comb += bell.ready.eq(ring.ready)

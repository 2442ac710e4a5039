"""Streams for components of a fixed latency, so that the lane can drive them."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.core.arith import delay
from hdl.core.checks import stream_in, stream_out


class Timed(wiring.Component):
    """A component without back-pressure between streams of its inputs and of its outputs.

    An item leaves `inner.latency` cycles after it came; the output must be ready then.

    i, o: structs of the inputs and of the outputs of `inner`
    """

    def __init__(self, *, inner: wiring.Component):
        self.inner = inner
        members = inner.signature.members.items()
        self._inputs, self._outputs = (
            data.StructLayout({name: member.shape for name, member in members if member.flow is flow})
            for flow in (In, Out)
        )
        super().__init__({"i": stream_in(self._inputs), "o": stream_out(self._outputs)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = self.inner
        m.d.comb += self.i.ready.eq(1)
        for name in self._inputs.members:
            m.d.comb += Value.cast(getattr(self.inner, name)).eq(Value.cast(self.i.payload[name]))
        for name in self._outputs.members:
            m.d.comb += Value.cast(self.o.payload[name]).eq(Value.cast(getattr(self.inner, name)))
        m.d.comb += self.o.valid.eq(delay(m, self.i.valid, self.inner.latency, name="valid", reset_less=False))
        return m

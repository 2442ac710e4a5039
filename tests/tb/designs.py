"""Small designs under test for the testbench tools: one that is right, and the ways in which it can be wrong."""

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.core.stream import Skid

LANES = 50


class Fault(enum.Enum, shape=3):
    """What ``Adder`` does wrong; the port ``fault`` takes its codes."""

    NONE = 0
    DROP = 1  #: takes an item that it has no room for
    UNSTABLE = 2  #: changes the payload while it waits
    WITHDRAWN = 3  #: takes valid back while it waits
    SHY = 4  #: raises valid only when ready is up


class Pair(data.Struct):
    """Operands, 800 bits."""

    a: data.ArrayLayout(unsigned(8), LANES)
    b: data.ArrayLayout(unsigned(8), LANES)


class Sum(data.Struct):
    """Sums, 800 bits."""

    sum: data.ArrayLayout(unsigned(16), LANES)


class Adder(wiring.Component):
    """Adds pairs behind a skid buffer, one a cycle.

    Members
    -------
    i, o : streams of ``Pair`` and ``Sum``.
    bias : added to every sum.
    fault : see ``Fault``.
    taken : items taken since reset.
    """

    i: In(stream.Signature(Pair))
    o: Out(stream.Signature(Sum))
    bias: In(8)
    fault: In(Fault)
    taken: Out(70)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.skid = skid = Skid(shape=Pair)
        wiring.connect(m, wiring.flipped(self.i), skid.i)
        full = Signal()
        waited = Signal()
        result = Signal(Sum)
        free = Signal()
        fault = {item: Signal(name=f"fault_{item.name}") for item in Fault}
        m.d.comb += [signal.eq(Value.cast(self.fault) == item.value) for item, signal in fault.items()]
        m.d.comb += [
            free.eq(~full | self.o.ready),
            skid.o.ready.eq(free | fault[Fault.DROP]),
            self.o.valid.eq(full & ~(fault[Fault.WITHDRAWN] & waited) & ~(fault[Fault.SHY] & ~self.o.ready)),
            self.o.payload.eq(result),
        ]
        with m.If(fault[Fault.UNSTABLE] & waited):
            m.d.comb += self.o.payload.sum[LANES - 1].eq(~result.sum[LANES - 1])
        m.d.sync += waited.eq(full & ~self.o.ready & ~waited)
        with m.If(free):
            m.d.sync += full.eq(skid.o.valid)
            for lane in range(LANES):
                m.d.sync += result.sum[lane].eq(skid.o.payload.a[lane] + skid.o.payload.b[lane] + self.bias)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += self.taken.eq(self.taken + 1)
        return m


#: Widths on both sides of every C++ type that Verilator gives to ports.
WIDTHS = (1, 8, 9, 16, 17, 32, 33, 64, 65, 96)


class Widths(wiring.Component):
    """A register for each width in ``WIDTHS`` (streams ``i{width}`` to ``o{width}``), and a signed plain port."""

    def __init__(self):
        streams = {}
        for width in WIDTHS:
            streams[f"i{width}"] = In(stream.Signature(unsigned(width)))
            streams[f"o{width}"] = Out(stream.Signature(unsigned(width)))
        super().__init__({**streams, "offset": In(signed(40)), "offset_out": Out(signed(40))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.offset_out.eq(self.offset)
        for width in WIDTHS:
            source, sink = getattr(self, f"i{width}"), getattr(self, f"o{width}")
            m.d.comb += source.ready.eq(~sink.valid | sink.ready)
            with m.If(source.ready):
                m.d.sync += [sink.valid.eq(source.valid), sink.payload.eq(source.payload)]
        return m


class Wires(wiring.Component):
    """No clock: the output is the input plus one, always valid, taken at once."""

    i: In(stream.Signature(8, always_ready=True))
    o: Out(stream.Signature(8, always_valid=True))
    p: In(4)
    q: Out(4)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.o.payload.eq(self.i.payload + 1), self.q.eq(self.p + 1)]
        return m


class Asserting(wiring.Component):
    """Takes bytes and asserts that none of them is 7."""

    i: In(stream.Signature(8))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(1)
        seen = Signal(8)
        with m.If(self.i.valid):
            m.d.sync += seen.eq(self.i.payload)
        m.d.comb += Assert(seen != 7)
        return m


class TwoClocks(wiring.Component):
    """Two clock domains: more than the benches drive."""

    a: Out(1)
    b: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.a.eq(~self.a)
        m.d.other += self.b.eq(~self.b)
        return m

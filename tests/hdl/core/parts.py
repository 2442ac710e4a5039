"""Small components that the tests of Shared and emit build designs from."""

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.core.checks import stream_in, stream_out
from hdl.core.connect import connect
from hdl.core.fifo import Queue
from hdl.core.shared import Shared
from hdl.core.stream import Fork, Join, Skid


class Op(enum.Enum, shape=2):
    """What to do."""

    ADD = 0
    SUB = 1


class Command(data.Struct):
    """A payload with an enumeration, a signed field and an array."""

    op: Op
    value: signed(7)
    lanes: data.ArrayLayout(4, 3)


class Adder(wiring.Component):
    """o = i + step, one cycle later."""

    def __init__(self, *, width, step):
        self.width = width
        self.step = step
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i + self.step)
        return m


class Chain(wiring.Component):
    """Adders one after the other; with ``shared`` they are one module."""

    def __init__(self, *, width, steps, shared=True, domain="sync"):
        self.width = width
        self.steps = steps
        self.shared = shared
        self.domain = domain
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        value = self.i
        for index, step in enumerate(self.steps):
            adder = Adder(width=self.width, step=step)
            stage = Shared(adder) if self.shared else adder
            m.submodules[f"adder_{index}"] = DomainRenamer(self.domain)(stage)
            m.d.comb += stage.i.eq(value)
            value = stage.o
        m.d.comb += self.o.eq(value)
        return m


class Nest(wiring.Component):
    """Shared chains of shared adders."""

    def __init__(self, *, chains, width=8):
        self.chains = chains
        self.width = width
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        value = self.i
        for index in range(self.chains):
            m.submodules[f"chain_{index}"] = chain = Shared(Chain(width=self.width, steps=(1, 2, 1)))
            m.d.comb += chain.i.eq(value)
            value = chain.o
        m.d.comb += self.o.eq(value)
        return m


class Domains(wiring.Component):
    """One shared adder in each of several clock domains that nothing defines."""

    i: In(8)
    o: Out(8)
    domains = ("sync", "fast", "link", "memory", "slow")

    def elaborate(self, platform):
        m = Module()
        total = self.i
        for domain in self.domains:
            m.submodules[domain] = stage = Shared(Chain(width=8, steps=(1,), domain=domain))
            m.d.comb += stage.i.eq(total)
            total = stage.o
        m.d.comb += self.o.eq(total)
        return m


class Commands(wiring.Component):
    """Streams of several kinds: an array of inputs, one always ready, one flipped inside an interface."""

    def __init__(self):
        port = wiring.Signature(
            {"request": Out(stream.Signature(Command)), "response": In(stream.Signature(unsigned(6)))}
        )
        super().__init__(
            {
                "i": In(stream.Signature(Command, always_ready=True)).array(2),
                "port": Out(port),
                "side": In(port.flip()),
                "nothing": In(unsigned(0)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [
            self.port.request.payload.value.eq(self.i[0].payload.value + self.i[1].payload.value),
            self.port.request.valid.eq(self.i[0].valid & self.i[1].valid),
            self.side.request.payload.op.eq(Op.SUB),
        ]
        m.d.comb += self.port.response.ready.eq(self.side.response.valid)
        return m


class Stage(wiring.Component):
    """Splits a word, adds to both halves in their own time and puts it together again."""

    def __init__(self, *, width):
        self.width = width
        super().__init__({"i": stream_in(width), "o": stream_out(width)})

    def elaborate(self, platform):
        m = Module()
        halves = data.StructLayout({"low": self.width // 2, "high": self.width - self.width // 2})
        m.submodules.fork = fork = Shared(Fork(shape=self.width, outputs=2))
        m.submodules.join = join = Join(shape=halves)
        connect(m, wiring.flipped(self.i), fork.i)
        for index, half in enumerate((join.i.low, join.i.high)):
            queue = Shared(Queue(shape=self.width, depth=3))
            skid = Shared(Skid(shape=self.width))
            m.submodules[f"queue_{index}"] = queue
            m.submodules[f"skid_{index}"] = skid
            connect(m, fork.o[index], queue.i)
            connect(m, queue.o, skid.i)
            m.d.comb += [
                half.payload.eq((skid.o.payload + index + 1) >> (index * (self.width // 2))),
                half.valid.eq(skid.o.valid),
                skid.o.ready.eq(half.ready),
            ]
        m.d.comb += [
            self.o.payload.eq(join.o.payload.as_value()),
            self.o.valid.eq(join.o.valid),
            join.o.ready.eq(self.o.ready),
        ]
        return m


class Pipeline(wiring.Component):
    """Shared stages, each of shared helpers, one after the other."""

    def __init__(self, *, width, stages):
        self.width = width
        self.stages = stages
        super().__init__({"i": stream_in(width), "o": stream_out(width)})

    def elaborate(self, platform):
        m = Module()
        source = wiring.flipped(self.i)
        for index in range(self.stages):
            m.submodules[f"stage_{index}"] = stage = Shared(Stage(width=self.width))
            connect(m, source, stage.i)
            source = stage.o
        connect(m, source, wiring.flipped(self.o))
        return m


def staged(word, width):
    """What one `Stage` makes of a word."""
    half = width // 2
    low = (word + 1) & ((1 << half) - 1)
    high = ((word + 2) & ((1 << (width + 1)) - 1)) >> half & ((1 << (width - half)) - 1)
    return low | high << half

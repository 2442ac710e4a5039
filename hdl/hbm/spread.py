"""Memory ports joined with memory ports: one to many, many to one, and many answers into one stream."""

from collections.abc import Sequence

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from ..core.arbiter import Arbiter
from ..core.checks import require_int, require_shape, stream_in, stream_out
from ..core.connect import connect
from ..core.shared import Shared
from ..core.stream import Skid
from .parts import WithPort
from .port import MemoryPort

#: inputs of an arbiter of a tree
RADIX = 4


class Merge(wiring.Component):
    """Several streams into one, by a tree of round-robin arbiters of few inputs.

    Every arbiter has a register slice behind it. Latency: `levels` cycles. Throughput: one item a
    cycle. Each stream's items keep their order; a waiting stream is served in turn at every level.

    Parameters
    ----------
    shape : of an item.
    inputs : streams, at least 1 (one of them passes, with latency 0).

    Members
    -------
    i : array of `inputs` streams.
    o : stream.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, shape: ShapeLike, inputs: int):
        self._shape = require_shape("Merge shape", shape)
        self._inputs = require_int("Merge inputs", inputs, low=1)
        super().__init__({"i": stream_in(shape).array(inputs), "o": stream_out(shape)})

    @property
    def shape(self) -> ShapeLike:
        """Shape of an item."""
        return self._shape

    @property
    def inputs(self) -> int:
        """Streams."""
        return self._inputs

    @property
    def levels(self) -> int:
        """Arbiters that an item passes."""
        level, width = 0, self._inputs
        while width > 1:
            level, width = level + 1, -(-width // RADIX)
        return level

    def elaborate(self, platform: object) -> Module:
        m = Module()
        streams: Sequence[wiring.PureInterface] = [wiring.flipped(stream) for stream in self.i]
        for level in range(self.levels):
            groups = [streams[low : low + RADIX] for low in range(0, len(streams), RADIX)]
            streams = [self._join(m, group, f"{level}_{index}") for index, group in enumerate(groups)]
        connect(m, streams[0], wiring.flipped(self.o))
        return m

    def _join(self, m: Module, streams: Sequence[wiring.PureInterface], name: str) -> wiring.PureInterface:
        """The stream of an arbiter and a register slice behind these."""
        skid = Skid(shape=self.shape)
        m.submodules[f"skid_{name}"] = Shared(skid)
        if len(streams) == 1:
            connect(m, streams[0], skid.i)
        else:
            arbiter = Arbiter(shape=self.shape, inputs=len(streams))
            m.submodules[f"arbiter_{name}"] = Shared(arbiter)
            for own, given in zip(arbiter.i, streams, strict=True):
                connect(m, given, own)
            connect(m, arbiter.o, skid.i)
        return skid.o


class Spread(WithPort, wiring.Component):
    """A memory port whose requests go to one of several, and whose responses come from all of them.

    A request waits until its target takes it, and those behind it wait too. Latency: 0 cycles for a
    request, that of `Merge` for a response. Throughput: one a cycle, each way.

    Parameters
    ----------
    port : widths of all ports.
    targets : at least 1.

    Members
    -------
    request, response : streams, the port.
    where : target of the request that is offered.
    requests, responses : arrays of the targets' streams.

    Raises TypeError or ValueError for `targets` that are no such number.
    """

    def __init__(self, *, port: MemoryPort, targets: int):
        self._port = port
        self._targets = require_int("Spread targets", targets, low=1)
        super().__init__(
            {
                "request": stream_in(port.request()),
                "where": In(range(max(2, targets))),
                "response": stream_out(port.response()),
                "requests": stream_out(port.request()).array(targets),
                "responses": stream_in(port.response()).array(targets),
            }
        )

    @property
    def targets(self) -> int:
        """Ports that requests go to."""
        return self._targets

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.merge = merge = Merge(shape=self.port.response(), inputs=self.targets)
        ready = Signal(self.targets)
        for target, (request, response, merged) in enumerate(zip(self.requests, self.responses, merge.i, strict=True)):
            chosen = self.where == target
            m.d.comb += [
                request.payload.eq(self.request.payload),
                request.valid.eq(self.request.valid & chosen),
                ready[target].eq(request.ready & chosen),
            ]
            connect(m, wiring.flipped(response), merged)
        m.d.comb += self.request.ready.eq(ready.any())
        connect(m, merge.o, wiring.flipped(self.response))
        return m


class Collect(WithPort, wiring.Component):
    """Several memory ports into one, in turn; a response goes to the port that asked.

    The number of the asking port stands in the tag of the one port above the bits of the others'
    tags. Latency: 1 cycle for a request, 0 for a response. Throughput: one a cycle, each way. A
    port that does not take its response holds up those behind it.

    Parameters
    ----------
    port : widths of the asking ports.
    ports : at least 1.

    Members
    -------
    requests, responses : arrays of the asking ports' streams.
    request, response : streams, the one port, of `inner`.

    Raises TypeError or ValueError for `ports` that are no such number.
    """

    def __init__(self, *, port: MemoryPort, ports: int):
        self._port = port
        self._ports = require_int("Collect ports", ports, low=1)
        super().__init__(
            {
                "requests": stream_in(port.request()).array(ports),
                "responses": stream_out(port.response()).array(ports),
                "request": stream_out(self.inner.request()),
                "response": stream_in(self.inner.response()),
            }
        )

    @property
    def ports(self) -> int:
        """Asking ports."""
        return self._ports

    @property
    def inner(self) -> MemoryPort:
        """Widths of the one port."""
        tag_bits = self._port.tag_bits + ceil_log2(self._ports)
        return MemoryPort(address_bits=self._port.address_bits, tag_bits=tag_bits)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inner, tag_bits = self.inner, self.port.tag_bits
        m.submodules.skid = skid = Shared(Skid(shape=inner.request()))
        connect(m, skid.o, wiring.flipped(self.request))
        if self.ports > 1:
            m.submodules.turns = turns = Arbiter(shape=inner.request(), inputs=self.ports)
            taken = list(turns.i)
            connect(m, turns.o, skid.i)
        else:
            taken = [skid.i]
        ready = Signal(self.ports)
        for number, (request, response, own) in enumerate(zip(self.requests, self.responses, taken, strict=True)):
            mine = self.response.payload.tag[tag_bits:] == number if self.ports > 1 else Const(1)
            m.d.comb += [
                own.valid.eq(request.valid),
                request.ready.eq(own.ready),
                *(own.payload[name].eq(request.payload[name]) for name in inner.request().members if name != "tag"),
                own.payload.tag.eq(Cat(request.payload.tag, Const(number, len(own.payload.tag) - tag_bits))),
                *(response.payload[name].eq(self.response.payload[name]) for name in ("status", "data")),
                response.payload.tag.eq(self.response.payload.tag[:tag_bits]),
                response.valid.eq(self.response.valid & mine),
                ready[number].eq(response.ready & mine),
            ]
        m.d.comb += self.response.ready.eq(ready.any())
        return m

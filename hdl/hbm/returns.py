"""Data that comes back from memory, and the responses of a port."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..core.arbiter import Arbiter
from ..core.arith import delay
from ..core.checks import require_int, stream_in, stream_out
from ..core.connect import connect
from ..core.fifo import Queue
from .commands import Geometry, Status
from .ecc import Decode
from .port import DATA_BITS, MemoryPort
from .registers import latency_layout

#: bits of the time of day that measures latencies
TIME_BITS = latency_layout()["cycles"].width


def origin_layout(geometry: Geometry, port: MemoryPort, lines: int) -> data.StructLayout:
    """Type of what is remembered of a read: its tag, or its line in the near-memory unit; its place and arrival."""
    name_bits = max(port.tag_bits, len(Signal(range(lines))))
    return data.StructLayout({"near": 1, "name": name_bits, "place": geometry.place(), "arrived": TIME_BITS})


class Returns(wiring.Component):
    """Corrects what was read and sends it where it was asked for.

    issued: {valid, origin} of a read, in the order of the RD commands and before its data
    read_valid, read_data, read_check: from the device
    acknowledge: responses that carry no data
    room: another read may be issued: there is room for the data of all that are on their way
    near: {valid, line, bad, data} for the near-memory unit
    response: the port's responses
    scrub: {valid, place}: that atom was corrected and should be written back
    corrected, uncorrected, poisoned: a read word was so
    now: the time of day, as in the origins' `arrived`
    latency: of a read of the port, in the cycle before its response is offered

    Latency: 3 cycles from the data at the pins to the response. Throughput: one atom a cycle.
    """

    def __init__(self, *, geometry: Geometry, port: MemoryPort, lines: int, depth: int = 64):
        self._geometry, self._port = geometry, port
        self._lines = require_int("Returns lines", lines, low=2)
        self._depth = require_int("Returns depth", depth, low=4)
        origin = origin_layout(geometry, port, lines)
        line = Shape.cast(range(lines))
        super().__init__(
            {
                "issued": In(data.StructLayout({"valid": 1, "origin": origin})),
                "read_valid": In(1),
                "read_data": In(DATA_BITS),
                "read_check": In(10),
                "acknowledge": stream_in(data.StructLayout({"tag": port.tag_bits, "status": Status})),
                "room": Out(1),
                "near": Out(data.StructLayout({"valid": 1, "line": line, "bad": 1, "data": DATA_BITS})),
                "response": stream_out(port.response()),
                "scrub": Out(data.StructLayout({"valid": 1, "place": geometry.place()})),
                "corrected": Out(1),
                "uncorrected": Out(1),
                "poisoned": Out(1),
                "now": In(TIME_BITS),
                "latency": Out(latency_layout()),
            }
        )

    @property
    def geometry(self) -> Geometry:
        """Address fields."""
        return self._geometry

    @property
    def port(self) -> MemoryPort:
        """Widths of the memory port."""
        return self._port

    @property
    def lines(self) -> int:
        """Lines of the near-memory unit."""
        return self._lines

    @property
    def depth(self) -> int:
        """Reads whose data is on its way or waits to be taken."""
        return self._depth

    def elaborate(self, platform: object) -> Module:
        m = Module()
        origin = origin_layout(self.geometry, self.port, self.lines)
        m.submodules.issued = issued = Queue(shape=origin, depth=self.depth)
        m.submodules.decode = decode = Decode()
        m.submodules.reads = reads = Queue(shape=self.port.response(), depth=self.depth)
        m.submodules.acknowledged = acknowledged = Queue(shape=self.acknowledge.payload.shape(), depth=4)
        m.submodules.responses = responses = Arbiter(shape=self.port.response(), inputs=2)
        connect(m, wiring.flipped(self.acknowledge), acknowledged.i)
        connect(m, reads.o, responses.i[0])
        connect(m, responses.o, wiring.flipped(self.response))
        m.d.comb += [
            issued.i.valid.eq(self.issued.valid),
            issued.i.payload.eq(self.issued.origin),
            issued.o.ready.eq(self.read_valid),
            decode.data.eq(self.read_data),
            decode.check.eq(self.read_check),
            responses.i[1].valid.eq(acknowledged.o.valid),
            acknowledged.o.ready.eq(responses.i[1].ready),
            responses.i[1].payload.tag.eq(acknowledged.o.payload.tag),
            responses.i[1].payload.status.eq(acknowledged.o.payload.status),
        ]
        valid = delay(m, self.read_valid, decode.latency, name="valid", reset_less=False)
        source = data.View(origin, delay(m, issued.o.payload.as_value(), decode.latency, name="origin"))
        lost = Signal()
        m.d.comb += [
            lost.eq((decode.status == Status.POISON) | (decode.status == Status.UNCORRECTABLE)),
            reads.i.valid.eq(valid & ~source.near),
            reads.i.payload.tag.eq(source.name),
            reads.i.payload.status.eq(decode.status),
            reads.i.payload.data.eq(decode.result),
            self.near.valid.eq(valid & source.near),
            self.near.line.eq(source.name),
            self.near.bad.eq(lost),
            self.near.data.eq(decode.result),
            self.corrected.eq(valid & (decode.status == Status.CORRECTED)),
            self.uncorrected.eq(valid & (decode.status == Status.UNCORRECTABLE)),
            self.poisoned.eq(valid & (decode.status == Status.POISON)),
            self.latency.valid.eq(reads.i.valid),
            self.latency.cycles.eq(self.now + 1 - source.arrived),
            self.scrub.valid.eq(self.corrected & ~source.near),
            self.scrub.place.eq(source.place),
        ]
        waiting = Signal(range(self.depth + 1))
        m.d.sync += waiting.eq(waiting + self.issued.valid - reads.credit - self.near.valid)
        # one read may be between the decision and `issued`
        m.d.comb += self.room.eq(waiting + 2 <= self.depth)
        return m

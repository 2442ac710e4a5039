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
from .parts import WithGeometry, WithPort
from .port import DATA_BITS, MemoryPort, slot_layout
from .registers import latency_layout

#: bits of the time of day that measures latencies
TIME_BITS = latency_layout()["cycles"].width


def origin_layout(geometry: Geometry, port: MemoryPort, lines: int, slots: int) -> data.StructLayout:
    """Type of what is remembered of a read.

    near, slot, name : who asked: a line of the near-memory unit with `near`, a place of `TreeSlots`
        with `slot`, else a tag.
    place : of the atom.
    arrived : the time of day in which it was accepted.
    """
    name = max(port.tag_bits, len(Signal(range(lines))), len(Signal(range(slots))))
    return data.StructLayout({"near": 1, "slot": 1, "name": name, "place": geometry.place(), "arrived": TIME_BITS})


class Returns(WithGeometry, WithPort, wiring.Component):
    """Corrects what was read and sends it where it was asked for.

    Latency: 3 cycles from the data at the pins to the response. Throughput: one atom a cycle. Reads
    are answered in the order of their data, acknowledgements in theirs; between the two there is
    none. Nothing can hold the data back: a read is issued only while there is `room`.

    Parameters
    ----------
    geometry : address fields.
    port : widths of the memory port.
    lines : of the near-memory unit, at least 2.
    slots : places of `TreeSlots`, at least 2.
    depth : reads whose data is on its way or waits to be taken, at least 4.

    Members
    -------
    issued : {valid, origin} of a read, in the order of the RD commands and before its data.
    read_valid, read_data, read_check : from the device.
    acknowledge : stream of responses that carry no data.
    room : another read may be issued: there is room for the data of all that are on their way.
    near : {valid, line, bad, data} for the near-memory unit.
    slot : `slot_layout` for `TreeSlots`.
    response : stream of the port's responses.
    scrub : {valid, place}: that atom was corrected and should be written back.
    corrected, uncorrected, poisoned : a read word was so.
    now : the time of day, as in the origins' `arrived`.
    latency : of a read of the port, in the cycle before its response is offered.
    idle : no data is on its way or waits.

    Raises TypeError or ValueError for a size that is no such number.
    """

    def __init__(self, *, geometry: Geometry, port: MemoryPort, lines: int, slots: int, depth: int = 64):
        self._geometry, self._port = geometry, port
        self._lines = require_int("Returns lines", lines, low=2)
        self._slots = require_int("Returns slots", slots, low=2)
        self._depth = require_int("Returns depth", depth, low=4)
        origin = origin_layout(geometry, port, lines, slots)
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
                "slot": Out(slot_layout(slots)),
                "response": stream_out(port.response()),
                "scrub": Out(data.StructLayout({"valid": 1, "place": geometry.place()})),
                "corrected": Out(1),
                "uncorrected": Out(1),
                "poisoned": Out(1),
                "now": In(TIME_BITS),
                "latency": Out(latency_layout()),
                "idle": Out(1),
            }
        )

    @property
    def lines(self) -> int:
        """Lines of the near-memory unit."""
        return self._lines

    @property
    def slots(self) -> int:
        """Places of `TreeSlots`."""
        return self._slots

    @property
    def depth(self) -> int:
        """Reads whose data is on its way or waits to be taken."""
        return self._depth

    def elaborate(self, platform: object) -> Module:
        m = Module()
        origin = origin_layout(self.geometry, self.port, self.lines, self.slots)
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
            reads.i.valid.eq(valid & ~source.near & ~source.slot),
            reads.i.payload.tag.eq(source.name),
            reads.i.payload.status.eq(decode.status),
            reads.i.payload.data.eq(decode.result),
            self.near.valid.eq(valid & source.near),
            self.near.line.eq(source.name),
            self.near.bad.eq(lost),
            self.near.data.eq(decode.result),
            self.slot.valid.eq(valid & source.slot),
            self.slot.entry.eq(source.name),
            self.slot.bad.eq(lost),
            self.slot.data.eq(decode.result),
            self.corrected.eq(valid & (decode.status == Status.CORRECTED)),
            self.uncorrected.eq(valid & (decode.status == Status.UNCORRECTABLE)),
            self.poisoned.eq(valid & (decode.status == Status.POISON)),
            self.latency.valid.eq(reads.i.valid),
            self.latency.cycles.eq(self.now + 1 - source.arrived),
            self.scrub.valid.eq(self.corrected & ~source.near),
            self.scrub.place.eq(source.place),
        ]
        waiting = Signal(range(self.depth + 1))
        m.d.sync += waiting.eq(waiting + self.issued.valid - reads.credit - (self.near.valid | self.slot.valid))
        # one read may be between the decision and `issued`
        m.d.comb += [self.room.eq(waiting + 2 <= self.depth), self.idle.eq((waiting == 0) & ~self.issued.valid)]
        return m

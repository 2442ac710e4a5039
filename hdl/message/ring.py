"""Rings of descriptors: the write of a descriptor is its doorbell."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from ..core.arbiter import Arbiter
from ..core.checks import require_int, stream_in, stream_out
from ..core.fifo import Queue
from .jobs import Doorbell
from .layouts import Descriptor

_Kept = data.StructLayout({"descriptor": Descriptor, "born": 32})


class Rings(wiring.Component):
    """One ring of descriptors for each partition, emptied in turn.

    A doorbell is a whole descriptor (express doorbell): nothing is fetched. Each partition writes
    to a stream of its own, so a full ring holds back its own partition alone, and the stream, not
    the descriptor, says which partition it is. Latency 1 cycle from a doorbell to `o`; throughput
    one descriptor a cycle over all rings. Empty after reset.

    Parameters
    ----------
    partitions : rings, 1 to 16.
    depth : descriptors a ring holds, at least 2.

    Members
    -------
    doorbell : array of `partitions` streams of `Descriptor`.
    now : the cycle, kept with each descriptor.
    room : for each partition, whether its next descriptor may leave. It may fall only in the cycle
        after a descriptor of that partition has left.
    o : stream of `Doorbell`, those of one ring in order.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(self, *, partitions: int, depth: int):
        self._partitions = require_int("Partitions", partitions, low=1, high=16)
        self._depth = require_int("Ring depth", depth, low=2)
        super().__init__(
            {
                "doorbell": stream_in(Descriptor).array(partitions),
                "now": In(32),
                "room": In(partitions),
                "o": stream_out(Doorbell),
            }
        )

    @property
    def partitions(self) -> int:
        """Rings."""
        return self._partitions

    @property
    def depth(self) -> int:
        """Descriptors a ring holds."""
        return self._depth

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # An arbiter of two inputs at least: the second of a single ring never has a descriptor.
        m.submodules.arbiter = arbiter = Arbiter(shape=Doorbell, inputs=max(2, self.partitions))
        for index, doorbell in enumerate(self.doorbell):
            m.submodules[f"ring_{index}"] = ring = Queue(shape=_Kept, depth=self.depth)
            turn = arbiter.i[index]
            m.d.comb += [
                ring.i.payload.descriptor.eq(doorbell.payload),
                ring.i.payload.born.eq(self.now),
                ring.i.valid.eq(doorbell.valid),
                doorbell.ready.eq(ring.i.ready),
                turn.payload.descriptor.eq(ring.o.payload.descriptor),
                turn.payload.born.eq(ring.o.payload.born),
                turn.payload.partition.eq(index),
                turn.valid.eq(ring.o.valid & self.room[index]),
                ring.o.ready.eq(turn.ready & self.room[index]),
            ]
        m.d.comb += [
            Value.cast(self.o.payload).eq(Value.cast(arbiter.o.payload)),
            self.o.valid.eq(arbiter.o.valid),
            arbiter.o.ready.eq(self.o.ready),
        ]
        return m

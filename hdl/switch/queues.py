"""Virtual output queues of one input and channel, in one memory."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int
from ..hbm.select import index_of, lowest, read
from ..link.flit import Flit


class VirtualQueues(wiring.Component):
    """Queues of flits with one writer and one reader, each with its own part of one memory.

    A flit a cycle goes in, to any queue, and a flit a cycle goes out. `start` binds a queue from
    the next cycle on, until the last flit of its packet has left. In each cycle a flit leaves of
    the lowest bound queue that has one and whose output has `room`; it is at `o` in the cycle
    after. Another queue may be bound as soon as no bound one could go on: a packet whose output
    stops, or whose rest has not come, holds its output but not the reader. A flit that is pushed in
    a cycle may leave in the next one, and `request` counts it at once.

    Order is kept in each queue. After reset all queues are empty and none is bound.

    Parameters
    ----------
    queues : how many, at least 2.
    depth : flits of each, a power of two from 4.

    Members
    -------
    i : flit to push.
    push : the queue, one bit high, or 0; only into a queue that is not `full`.
    full : queues without room.
    request : queues that will have a flit in the next cycle.
    start : queue to bind, one bit high, or 0; only where `is_free`, and none that is bound but one
        that `ends`.
    is_free : a queue may be bound: none could go on in this cycle, or but one whose last flit
        leaves.
    ends : the queue of whose packet the last flit leaves now, one bit high, or 0.
    room : queues whose output takes a flit.
    o : the flit that left in the cycle before.
    o_target : its queue, one bit high, or 0 where none left.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, queues: int, depth: int):
        self._queues = require_int("Virtual queues", queues, low=2)
        self._depth = require_int("Virtual queue depth", depth, low=4)
        if depth & (depth - 1):
            raise ValueError(f"Virtual queue depth must be a power of two, not {depth!r}")
        super().__init__(
            {
                "i": In(Flit),
                "push": In(queues),
                "full": Out(queues),
                "request": Out(queues),
                "start": In(queues),
                "is_free": Out(1),
                "ends": Out(queues),
                "room": In(queues),
                "o": Out(Flit),
                "o_target": Out(queues),
            }
        )

    @property
    def queues(self) -> int:
        """Number of queues."""
        return self._queues

    @property
    def depth(self) -> int:
        """Flits of each queue."""
        return self._depth

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.queues * self.depth
        # The marks of last flits are read in the cycle of the address: they say whether the reader is free.
        m.submodules.flits = flits = memory.Memory(shape=Shape.cast(Flit), depth=depth, init=[])
        m.submodules.lasts = lasts = memory.Memory(shape=1, depth=depth, init=[])
        write, fetch = flits.write_port(), flits.read_port()
        mark, is_last = lasts.write_port(), lasts.read_port(domain="comb")
        bound, filled, able, leaves = (Signal(self.queues, name=name) for name in ("bound", "filled", "able", "leaves"))
        write_at, read_at = self._places(m, leaves)
        m.d.comb += [
            *(write.addr.eq(write_at), write.data.eq(self.i), write.en.eq(self.push.any())),
            *(mark.addr.eq(write_at), mark.data.eq(self.i.last), mark.en.eq(self.push.any())),
            *(fetch.addr.eq(read_at), fetch.en.eq(leaves.any()), is_last.addr.eq(read_at)),
            *(able.eq(bound & filled & self.room), leaves.eq(lowest(able))),
            self.ends.eq(Mux(is_last.data, leaves, 0)),
            self.is_free.eq(able == self.ends),
            Value.cast(self.o).eq(fetch.data),
        ]
        m.d.sync += [
            *(self.o_target.eq(leaves), filled.eq(self.request)),
            bound.eq((bound & ~self.ends) | self.start),
        ]
        return m

    def _places(self, m: Module, leaves: Signal) -> tuple[Value, Value]:
        """Addresses of the flit pushed and of the next one to leave; keeps the levels of the queues."""
        bits = (self.depth - 1).bit_length()
        heads, tails = ([Signal(bits, name=f"{end}_{index}") for index in range(self.queues)] for end in ("out", "in"))
        for index, (head, tail) in enumerate(zip(heads, tails, strict=True)):
            level, following = Signal(bits + 1, name=f"level_{index}"), Signal(bits + 1, name=f"following_{index}")
            pushed, left = Signal(name=f"pushed_{index}"), Signal(name=f"left_{index}")
            m.d.comb += [
                pushed.eq(self.push[index]),
                left.eq(leaves[index]),
                following.eq(level + pushed - left),
                self.full[index].eq(level[-1]),
                self.request[index].eq(following != 0),
            ]
            m.d.sync += [level.eq(following), head.eq(head + left), tail.eq(tail + pushed)]
        write_at = Cat(read(m, self.push, tails, name="push_at"), index_of(m, self.push, name="push_queue"))
        read_at = Cat(read(m, leaves, heads, name="leave_at"), index_of(m, leaves, name="leave_queue"))
        return write_at, read_at

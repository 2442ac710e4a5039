"""Slots of ordered reductions: brought into their order again, and combined."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from mtia.near_memory import TREE_SLOTS

from ..core.checks import require_int, stream_out
from ..core.clock_gate import ClockGated
from .ordered_sum import OrderedSum
from .port import DATA_BITS, result_layout, slot_layout
from .reduce_format import ReduceFormat, ReduceKind


class TreeSlots(wiring.Component):
    """Takes the slots that were read, in any order, and gives each TREE's result to its line.

    A read of a slot takes the next place of a ring, and its atom waits there until those before it
    have left. So the slots of a TREE enter `OrderedSum` in the order of their index, whatever the
    memory did first. The result of a TREE of which a slot could not be read is bad.

    Latency: 2 cycles from the last slot's atom to `OrderedSum`, and its latency. Throughput: a slot
    a cycle.

    Parameters
    ----------
    lines : of the near-memory unit, at least 2.
    slots : places of the ring, at least 2.

    Members
    -------
    begin : {valid, line, kind, format}: a TREE comes; its slots are taken from the next cycle on.
    taken, last : a slot's read is accepted; it is the TREE's last one. Only while `room`.
    entry : the place that it takes.
    room : there is one.
    data : `slot_layout`: the atom of a slot. It must be taken.
    result : stream of `result_layout`.
    idle : no TREE is here.

    Raises TypeError or ValueError for a size that is no such number.
    """

    def __init__(self, *, lines: int, slots: int):
        self._lines = require_int("Tree slots lines", lines, low=2)
        self._slots = require_int("Tree slots places", slots, low=2)
        head = {"line": Shape.cast(range(lines)), "kind": ReduceKind, "format": ReduceFormat}
        self._head = data.StructLayout(head)
        super().__init__(
            {
                "begin": In(data.StructLayout({"valid": 1, **head})),
                "taken": In(1),
                "last": In(1),
                "entry": Out(range(slots)),
                "room": Out(1),
                "data": In(slot_layout(slots)),
                "result": stream_out(result_layout(lines)),
                "idle": Out(1),
            }
        )

    @property
    def lines(self) -> int:
        """Lines of the near-memory unit."""
        return self._lines

    @property
    def slots(self) -> int:
        """Places of the ring."""
        return self._slots

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line_bits = len(self.begin.line)
        m.submodules.sum = sum_ = ClockGated(OrderedSum(slots=TREE_SLOTS, token_bits=line_bits + 1))
        under_way = Signal(range(self.lines + 1))
        m.d.sync += under_way.eq(under_way + self.begin.valid - (sum_.o.valid & sum_.o.ready))
        m.d.comb += [
            sum_.awake.eq(under_way != 0),
            self.result.valid.eq(sum_.o.valid),
            sum_.o.ready.eq(self.result.ready),
            self.result.payload.data.eq(sum_.o.payload.result),
            Cat(self.result.payload.line, self.result.payload.bad).eq(sum_.o.payload.token),
            self.idle.eq(under_way == 0),
        ]
        self._ring(m, sum_)
        return m

    def _ring(self, m: Module, sum_: ClockGated) -> None:
        """Slots from their places, in order, through the memory's register into the sum."""
        name = data.StructLayout({"last": 1, "head": self._head})
        m.submodules.names = names = memory.Memory(shape=name, depth=self.slots, init=[])
        m.submodules.atoms = atoms = memory.Memory(shape=1 + DATA_BITS, depth=self.slots, init=[])
        put_name, get_name = names.write_port(), names.read_port()
        put, get = atoms.write_port(), atoms.read_port()
        head = Signal(self._head, reset_less=True)
        newest, oldest = Signal(range(self.slots)), Signal(range(self.slots))
        there, arrived, left = Signal(self.slots), Signal(self.slots), Signal(self.slots)
        level = Signal(range(self.slots + 1))
        valid, moves, leaves, lost = Signal(), Signal(), Signal(), Signal()
        with m.If(self.begin.valid):
            m.d.sync += [head[field].eq(self.begin[field]) for field in self._head.members]
        end = self.slots - 1
        m.d.comb += [
            self.entry.eq(newest),
            self.room.eq(level != self.slots),
            *(put_name.en.eq(self.taken), put_name.addr.eq(newest)),
            *(put_name.data.last.eq(self.last), put_name.data.head.eq(head)),
            *(put.en.eq(self.data.valid), put.addr.eq(self.data.entry)),
            put.data.eq(Cat(self.data.data, self.data.bad)),
            arrived.eq(Mux(self.data.valid, 1 << self.data.entry, 0)),
            moves.eq(~valid | sum_.i.ready),
            leaves.eq(moves & (there >> oldest)[0]),
            left.eq(Mux(leaves, 1 << oldest, 0)),
            *(port.en.eq(moves) for port in (get, get_name)),
            *(port.addr.eq(oldest) for port in (get, get_name)),
            sum_.i.valid.eq(valid),
            *(sum_.i.payload[field].eq(get_name.data.head[field]) for field in ("kind", "format")),
            sum_.i.payload.last.eq(get_name.data.last),
            sum_.i.payload.token.eq(Cat(get_name.data.head.line, lost | get.data[-1])),
            sum_.i.payload.data.eq(get.data[:DATA_BITS]),
        ]
        m.d.sync += [there.eq((there | arrived) & ~left), level.eq(level + self.taken - leaves)]
        with m.If(self.taken):
            m.d.sync += newest.eq(Mux(newest == end, 0, newest + 1))
        with m.If(leaves):
            m.d.sync += oldest.eq(Mux(oldest == end, 0, oldest + 1))
        with m.If(moves):
            m.d.sync += valid.eq(leaves)
        with m.If(valid & sum_.i.ready):
            m.d.sync += lost.eq((lost | get.data[-1]) & ~get_name.data.last)
